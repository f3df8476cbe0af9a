"""Peers that send wrong bytes, or bytes that nobody asked for."""

import asyncio
import hashlib
import struct
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from p2pupd.model.device import TransferProgress
from p2pupd.model.setting import Seconds
from p2pupd.swarm.settings import SwarmSettings
from p2pupd.swarm.torrent import info_dictionary
from tests.support import eventually
from tests.swarming import an_address, an_artifact, bare_peer, member

MIB = 1 << 20


def damaged(directory: Path, name: str, content: bytes) -> Path:
    """A directory whose file has a wrong byte in each block."""
    directory.mkdir()
    wrong = bytearray(content)
    for at in range(0, len(wrong), 16384):
        wrong[at] ^= 0xFF
    (directory / name).write_bytes(wrong)
    return directory


@pytest.mark.parametrize("piece_length", [16384, 65536])
async def test_a_corrupting_peer_costs_time_but_never_a_wrong_byte(
    tmp_path: Path, piece_length: int
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 2 * MIB, piece_length)
    liar = damaged(tmp_path / "liar", artifact.pieces_root, content)
    with (
        bare_peer(artifact, tmp_path / "seed", rate=2 * MIB) as honest,
        bare_peer(artifact, liar, tree_from=tmp_path / "seed") as corrupting,
    ):
        async with member(tmp_path / "a") as alice:
            alice.swarm.set_peers([honest.peer, corrupting.peer])
            assert await alice.fetch(artifact) == artifact.length
            assert alice.content(artifact) == content
            assert alice.swarm.counts(artifact).wasted > 0


@pytest.mark.parametrize("piece_length", [16384, 65536, 262144])
async def test_five_corrupting_peers_do_not_starve_one_honest_seed(
    tmp_path: Path, piece_length: int
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 4 * MIB, piece_length)
    liar = damaged(tmp_path / "liar", artifact.pieces_root, content)
    address = an_address()
    settings = SwarmSettings(interfaces=(address,), stall_after=Seconds(1))
    with ExitStack() as stack:
        honest = stack.enter_context(bare_peer(artifact, tmp_path / "seed", rate=4 * MIB))
        liars = [
            stack.enter_context(bare_peer(artifact, liar, tree_from=tmp_path / "seed"))
            for _ in range(5)
        ]
        async with member(tmp_path / "a", settings, address=address) as alice:
            alice.swarm.set_peers([honest.peer, *(one.peer for one in liars)])
            await alice.fetch(artifact)
            assert alice.content(artifact) == content


async def test_only_corrupting_peers_never_complete_and_an_honest_one_then_does(
    tmp_path: Path,
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    liar = damaged(tmp_path / "liar", artifact.pieces_root, content)
    address = an_address()
    settings = SwarmSettings(interfaces=(address,), stall_after=Seconds(0.5))
    with bare_peer(artifact, liar, tree_from=tmp_path / "seed") as corrupting:
        async with (
            member(tmp_path / "seed", seed=True) as seed,
            member(tmp_path / "a", settings, address=address) as alice,
            asyncio.TaskGroup() as group,
        ):
            await seed.swarm.share(artifact, seed.directory)
            alice.swarm.set_peers([corrupting.peer])
            reports: list[TransferProgress] = []
            fetching = group.create_task(alice.fetch(artifact, reports))
            await eventually(lambda: alice.swarm.counts(artifact).wasted > 0)
            await eventually(lambda: corrupting.peer.host in alice.swarm.blocked)
            assert not fetching.done()
            alice.swarm.set_peers([corrupting.peer, seed.peer])
            await fetching
            assert alice.content(artifact) == content


async def test_an_address_that_floods_with_blocks_nobody_asked_for_is_blocked(
    tmp_path: Path,
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 4 * MIB)
    address, flooder = an_address(), an_address()
    settings = SwarmSettings(interfaces=(address,), unwanted_blocks=16, block_for=Seconds(2))
    info_hash = hashlib.sha256(info_dictionary(artifact)).digest()[:20]
    block = struct.pack(">IBII", 9 + 16384, 7, 3, 0) + content[3 * 16384 : 4 * 16384]
    with bare_peer(artifact, tmp_path / "seed", rate=MIB) as seed:
        async with (
            member(tmp_path / "a", settings, address=address) as alice,
            asyncio.TaskGroup() as group,
        ):
            alice.swarm.set_peers([seed.peer])
            fetching = group.create_task(alice.fetch(artifact))
            await eventually(lambda: alice.swarm.counts(artifact).lan)
            reader, writer = await asyncio.open_connection(
                alice.peer.host, alice.peer.port, local_addr=(flooder, 0)
            )
            writer.write(b"\x13BitTorrent protocol" + bytes(7) + b"\x10" + info_hash)
            writer.write(b"-XX0001-" + bytes(12))
            await reader.readexactly(68)
            with suppress(ConnectionError):
                while flooder not in alice.swarm.blocked:
                    writer.write(block)
                    await writer.drain()
                    await asyncio.sleep(0)
            await eventually(lambda: flooder in alice.swarm.blocked)
            with suppress(ConnectionError):
                while await reader.read(1 << 16):
                    pass
            writer.close()
            await fetching
            assert alice.content(artifact) == content
            await eventually(lambda: not alice.swarm.blocked)
