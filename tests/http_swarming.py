"""Devices that hand out artifacts by the real peer API, and swarms that only know that."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from p2pupd.api.peer import Hand, listen, peer_app, serve
from p2pupd.api.settings import PeerApiSettings
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.feeds.peer_client import PeerClient
from p2pupd.feeds.range_client import RangeClient
from p2pupd.host.layer_files import layer_of_file
from p2pupd.model.device import Role
from p2pupd.model.ids import NO_MANIFEST, DeviceId, ManifestDigest, Realm, Sha256
from p2pupd.model.release import Artifact
from p2pupd.model.setting import Seconds
from p2pupd.swarm.arrivals import Arrivals, Wires
from p2pupd.swarm.express import ExpressSwarm
from p2pupd.swarm.http_only import HttpSwarm
from p2pupd.swarm.interface import Swarm, SwarmPeer
from p2pupd.swarm.over_http import HttpPieces
from p2pupd.swarm.session import LibtorrentSwarm
from p2pupd.swarm.settings import SwarmSettings
from p2pupd.wire.messages import Hello, Notify
from tests.support import running
from tests.swarming import an_address, member

CLIENT = NeighbourFeedSettings(connect_timeout=Seconds(5))
BLOCK_FOR = 3600.0


@dataclass
class Shelf:
    """A `PeerState` that hands out files; `asked_layers` are those that somebody wanted.

    `layers` may hold other bytes than the right ones.
    """

    files: dict[Sha256, Path] = field(default_factory=dict)
    layers: dict[Sha256, bytes] = field(default_factory=dict)
    asked_layers: list[Sha256] = field(default_factory=list)
    gave: Counter[Sha256] = field(default_factory=Counter)
    arrivals: Arrivals = field(default_factory=Arrivals)

    def add(self, artifact: Artifact, directory: Path, honest: Path | None = None) -> None:
        """Hand it out, with the piece layer of the file in `honest` where its own is damaged."""
        self.files[artifact.sha256] = directory / artifact.pieces_root
        self.layers[artifact.sha256] = layer_of_file(artifact, honest or directory).hashes

    def hello(self) -> Hello:
        return Hello(DeviceId("a" * 52), Realm("0" * 16), NO_MANIFEST, Role.PEER, 1, 0, "0.1.0")

    def bundle(self) -> tuple[ManifestDigest, bytes] | None:
        return None

    async def artifact(self, sha256: Sha256, part: tuple[int, int] | None) -> Path | None:
        if part is not None and (arrival := self.arrivals.get(sha256)):
            return arrival.path if await arrival.has(*part) else None
        return self.files.get(sha256)

    async def layer(self, sha256: Sha256) -> bytes | None:
        self.asked_layers.append(sha256)
        if arrival := self.arrivals.get(sha256):
            return arrival.layer
        return self.layers.get(sha256)

    def sent(self, sha256: Sha256, amount: int) -> None:
        self.gave[sha256] += amount
        if arrival := self.arrivals.get(sha256):
            arrival.sent()

    async def log(self) -> bytes:
        return b"lines"

    async def sync(self, raw: bytes) -> bytes:
        raise AssertionError("a shelf has no view of the floor")

    def notified(self, notify: Notify, address: str) -> None:
        raise AssertionError("nobody notifies a shelf")


@asynccontextmanager
async def serving(
    shelf: Shelf, address: str = "", hand: Hand | None = None
) -> AsyncIterator[SwarmPeer]:
    """The shelf, reachable as a neighbour without BitTorrent; `hand` hands out pieces."""
    address = address or an_address()
    settings = PeerApiSettings(listen=(address,), port=0)
    sockets = listen(settings)
    port = sockets[0].getsockname()[1]
    async with running(serve(peer_app(shelf, settings, hand=hand), sockets, settings)):
        yield SwarmPeer(DeviceId(f"device-{address}"), address, 0, False, port)


@dataclass
class Party:
    """A member of a swarm of some kind. `offer` hands out a complete file of its directory."""

    swarm: Swarm
    peer: SwarmPeer
    directory: Path
    shelf: Shelf | None = None

    async def offer(self, artifact: Artifact) -> None:
        await self.swarm.share(artifact, self.directory)
        if self.shelf:
            self.shelf.add(artifact, self.directory)

    def content(self, artifact: Artifact) -> bytes:
        return (self.directory / artifact.pieces_root).read_bytes()


@asynccontextmanager
async def http_party(directory: Path) -> AsyncIterator[Party]:
    """A device without BitTorrent."""
    directory.mkdir(parents=True, exist_ok=True)
    shelf, address = Shelf(), an_address()
    async with serving(shelf, address) as peer, PeerClient(CLIENT, address) as client:
        swarm = HttpSwarm(HttpPieces(client.layer, client.artifact_range, BLOCK_FOR))
        async with running(swarm.run()):
            yield Party(swarm, peer, directory, shelf)


@asynccontextmanager
async def express_party(
    directory: Path, *, seed: bool = False, handout: int = 2
) -> AsyncIterator[Party]:
    """A device with BitTorrent that leaves it out where it can."""
    shelf, address = Shelf(), an_address()
    async with serving(shelf, address) as api, PeerClient(CLIENT, address) as client:
        stream = RangeClient(CLIENT, address).stream
        wires = Wires(client.layer, stream, client.handout, shelf.arrivals)
        directory.mkdir(parents=True, exist_ok=True)
        settings = SwarmSettings(interfaces=(address,), handout=handout)
        torrents = LibtorrentSwarm(api.id, settings, handout=client.handout)
        swarm = ExpressSwarm(torrents, wires, BLOCK_FOR)
        async with running(swarm.run()):
            peer = replace(api, port=await swarm.listening(), carries_all=seed)
            yield Party(swarm, peer, directory, shelf)


@asynccontextmanager
async def torrent_party(directory: Path) -> AsyncIterator[Party]:
    """A device with BitTorrent."""
    async with member(directory) as made:
        swarm: Swarm = made.swarm
        yield Party(swarm, made.peer, directory)


def acquainted(*parties: Party) -> None:
    """Make everybody everybody's neighbour."""
    for one in parties:
        one.swarm.set_peers([other.peer for other in parties if other is not one])
