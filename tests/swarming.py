"""What swarm tests share: artifacts, swarms in this process, and bare libtorrent peers."""

import asyncio
import hashlib
import itertools
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libtorrent as lt

from p2pupd.model.device import TransferProgress
from p2pupd.model.ids import DeviceId, Sha256
from p2pupd.model.release import Artifact
from p2pupd.swarm.interface import SwarmPeer
from p2pupd.swarm.over_http import HttpPieces
from p2pupd.swarm.session import LibtorrentSwarm
from p2pupd.swarm.settings import SwarmSettings
from p2pupd.swarm.torrent import torrent_info

_addresses = itertools.count(1)


def an_address() -> str:
    """A loopback address that no other test of this run uses."""
    number = next(_addresses)
    return f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}.{number % 250 + 1}"


def an_artifact(
    directory: Path, length: int, piece_length: int = 16384, seed: int = 1
) -> tuple[Artifact, bytes]:
    """Random content in `directory`, under the name that the swarm gives it."""
    content = random.Random(seed).randbytes(length)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "content"
    path.write_bytes(content)
    torrent = lt.create_torrent(
        [lt.create_file_entry("content", length)], piece_length, lt.create_torrent.v2_only
    )
    lt.set_piece_hashes(torrent, str(directory))
    tree: Any = dict(torrent.generate()[b"info"])[b"file tree"]
    root = Sha256(tree[b"content"][b""][b"pieces root"].hex())
    path.rename(directory / root)
    return Artifact(
        length, Sha256(hashlib.sha256(content).hexdigest()), root, piece_length
    ), content


@dataclass
class Member:
    """A swarm that runs in this process, and how to reach it."""

    swarm: LibtorrentSwarm
    peer: SwarmPeer
    directory: Path

    async def fetch(self, artifact: Artifact, reports: list[TransferProgress] | None = None) -> int:
        """Fetch into its directory; the bytes that came from neighbours and were kept."""
        listener = (reports if reports is not None else []).append
        return (await self.swarm.fetch(artifact, self.directory, listener)).received

    def content(self, artifact: Artifact) -> bytes:
        return (self.directory / artifact.pieces_root).read_bytes()


@asynccontextmanager
async def member(
    directory: Path,
    settings: SwarmSettings | None = None,
    *,
    seed: bool = False,
    uploads: bool = True,
    address: str = "",
    pieces: HttpPieces | None = None,
) -> AsyncIterator[Member]:
    """A running swarm on an address of its own."""
    address = address or an_address()
    settings = settings or SwarmSettings(interfaces=(address,))
    directory.mkdir(parents=True, exist_ok=True)
    own = DeviceId(f"device-{address}")
    swarm = LibtorrentSwarm(own, settings, uploads=uploads, pieces=pieces)
    async with asyncio.TaskGroup() as group:
        service = group.create_task(swarm.run())
        port = await swarm.listening()
        yield Member(swarm, SwarmPeer(own, address, port, seed), directory)
        service.cancel()


def introduce(*members: Member) -> None:
    """Make everybody everybody's neighbour."""
    for one in members:
        one.swarm.set_peers([other.peer for other in members if other is not one])


@dataclass
class BarePeer:
    """A peer that is libtorrent alone and claims to have everything, whatever is in its file."""

    session: lt.session
    handle: lt.torrent_handle
    peer: SwarmPeer

    @property
    def sent(self) -> int:
        return self.handle.status().total_payload_upload

    def unlimited(self) -> None:
        """Send as fast as it can from now on."""
        self.handle.set_upload_limit(0)


def _bare_settings(address: str, requests: int) -> lt.session_params:
    parameters = lt.session_params()
    parameters.settings = {
        "listen_interfaces": f"{address}:0",
        "outgoing_interfaces": address,
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        "max_allowed_in_request_queue": requests,
        "alert_mask": lt.alert_category.status | lt.alert_category.storage,
    }
    return parameters


@contextmanager
def bare_peer(
    artifact: Artifact,
    directory: Path,
    *,
    rate: int = 0,
    requests: int = 2000,
    tree_from: Path | None = None,
) -> Iterator[BarePeer]:
    """Serve `directory / pieces_root` unchecked, at most `rate` bytes per second (0: any).

    It tells others to have at most `requests` blocks asked of it at a time.

    The hash tree is taken from the honest file in `tree_from`, where the own one is damaged.
    """
    address = an_address()
    session = lt.session(_bare_settings(address, requests))
    torrent = lt.create_torrent(
        [lt.create_file_entry(artifact.pieces_root, artifact.length)],
        artifact.piece_length,
        lt.create_torrent.v2_only,
    )
    lt.set_piece_hashes(torrent, str(tree_from or directory))
    chosen = lt.load_torrent_buffer(lt.bencode(torrent.generate()))
    assert chosen.ti
    assert chosen.ti.info_hashes() == torrent_info(artifact).info_hashes()
    chosen.save_path = str(directory)
    chosen.have_pieces = [True] * artifact.pieces
    chosen.flags = lt.torrent_flags.no_verify_files
    handle = session.add_torrent(chosen)
    if rate:
        handle.set_upload_limit(rate)
    own = DeviceId(f"bare-{address}")
    try:
        yield BarePeer(session, handle, SwarmPeer(own, address, session.listen_port(), True))
    finally:
        del session, handle
