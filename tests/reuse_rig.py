"""Devices that make the pieces of packs themselves: real store, swarm, peer API, old images."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from p2pupd.core.piece_layer import PieceLayer
from p2pupd.engine.content import Content
from p2pupd.engine.served import Served
from p2pupd.engine.tasks import Tasks
from p2pupd.feeds.peer_client import PeerClient
from p2pupd.feeds.range_client import RangeClient
from p2pupd.host.layer_files import keep_layer
from p2pupd.install.interface import OldImage
from p2pupd.model.device import Role
from p2pupd.model.ids import DeviceId, Sha256
from p2pupd.model.release import Artifact, Image, Release
from p2pupd.model.setting import Bytes
from p2pupd.store.disk import DiskStore
from p2pupd.store.settings import StoreSettings
from p2pupd.swarm.arrivals import Arrivals, Wires
from p2pupd.swarm.express import ExpressSwarm
from p2pupd.swarm.http_only import HttpSwarm
from p2pupd.swarm.interface import Swarm, SwarmPeer
from p2pupd.swarm.over_http import HttpPieces
from p2pupd.swarm.session import LibtorrentSwarm
from p2pupd.swarm.settings import SwarmSettings
from tests.builders import a_pack
from tests.contents import artifact_of, layer_of
from tests.http_swarming import BLOCK_FOR, CLIENT, Shelf, serving
from tests.packing import Pack
from tests.support import running
from tests.swarming import an_address

KINDS = ("libtorrent", "http", "express")


def released(image: bytes, pack: Pack, number: int = 7) -> Release:
    """The release whose carried file is `pack`."""
    digest = Sha256(hashlib.sha256(image).hexdigest())
    return replace(a_pack(number), image=Image(len(image), digest), artifact=artifact_of(pack.raw))


class Shop(Shelf):
    """A peer API over a device's store, as in the daemon."""

    served: Served

    async def artifact(self, sha256: Sha256, part: tuple[int, int] | None) -> Path | None:
        return await self.served.artifact(sha256, part)

    async def layer(self, sha256: Sha256) -> bytes | None:
        return await self.served.layer(sha256)


@dataclass
class Here:
    """A device. `notes` are what was noted, by name; `shop` tells what it gave by HTTP."""

    content: Content
    swarm: Swarm
    store: DiskStore
    peer: SwarmPeer
    shop: Shop
    notes: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def has(self, raw: bytes) -> None:
        """It has had that pack, or image, since before, and shares it."""
        artifact = artifact_of(raw)
        directory = self.store.place(artifact)
        (directory / artifact.pieces_root).write_bytes(raw)
        keep_layer(PieceLayer.proved(artifact, layer_of(raw)), directory)
        self.store.verify(artifact)
        await self.swarm.share(artifact, directory)

    def stored(self, artifact: Artifact) -> bytes:
        found = self.store.find(artifact.sha256)
        assert found
        assert found.verified
        return found.path.read_bytes()

    def counts(self, artifact: Artifact) -> dict[str, int]:
        """By source, only those that brought something. They sum to the whole."""
        counts = self.content.counts(artifact)
        by = {name: getattr(counts, name) for name in ("lan", "usb", "uplink", "reuse")}
        assert sum(by.values()) == artifact.length
        return {name: count for name, count in by.items() if count}


def _swarm(kind: str, shop: Shop, api: SwarmPeer, pieces: HttpPieces, client: PeerClient) -> Any:
    if kind == "http":
        return HttpSwarm(pieces)
    settings = SwarmSettings(interfaces=(api.host,))
    torrents = LibtorrentSwarm(api.id, settings, pieces=pieces)
    if kind == "libtorrent":
        return torrents
    stream = RangeClient(CLIENT, api.host).stream
    return ExpressSwarm(
        torrents, Wires(client.layer, stream, client.handout, shop.arrivals), BLOCK_FOR
    )


@asynccontextmanager
async def a_device(
    directory: Path,
    kind: str = "libtorrent",
    *,
    olds: Sequence[OldImage] = (),
    seed: bool = False,
) -> AsyncIterator[Here]:
    """A device whose images of older releases are `olds`."""
    shop, address, notes = Shop(arrivals=Arrivals()), an_address(), list[Any]()
    store = DiskStore(directory / "store", StoreSettings(reserve=Bytes(0)))

    def note(event: str, **fields: str) -> None:
        notes.append((event, fields))

    async def images() -> Sequence[OldImage]:
        return olds

    async with (
        serving(shop, address) as api,
        PeerClient(CLIENT, address) as client,
        asyncio.TaskGroup() as group,
    ):
        pieces = HttpPieces(client.layer, client.artifact_range, BLOCK_FOR)
        swarm = _swarm(kind, shop, api, pieces, client)
        tasks = Tasks(group)
        shop.served = Served(store, Role.PEER, tasks, shop.arrivals, swarm.holdings)
        async with running(swarm.run()):
            peer = replace(api, port=await swarm.listening(), carries_all=seed)
            content = Content(
                store, swarm, tasks, note, own=DeviceId(api.id), asking=pieces, old_images=images
            )
            yield Here(content, swarm, store, peer, shop, notes)


def meet(*devices: Here) -> None:
    """Make everybody everybody's neighbour."""
    for one in devices:
        one.swarm.set_peers([other.peer for other in devices if other is not one])
