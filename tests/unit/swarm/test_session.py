"""What a swarm asks of others at once, and what it may conclude from what it sees."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.core.allowance import Allowance
from p2pupd.core.piece_layer import PieceLayer
from p2pupd.model.ids import DeviceId
from p2pupd.swarm.interface import Injected, SwarmPeer
from p2pupd.swarm.mesh import MOST_REQUESTS, request_queue
from p2pupd.swarm.session import LibtorrentSwarm
from p2pupd.swarm.settings import SwarmSettings
from p2pupd.swarm.torrents import WORTH_WRITING
from tests.contents import PIECE, artifact_of, layer_of, payload
from tests.support import eventually, eventually_async
from tests.swarming import an_address, an_artifact, introduce, member

CONTENT = payload(1 << 20)
ARTIFACT = artifact_of(CONTENT)


@asynccontextmanager
async def swarm(*, carries_all: bool) -> AsyncIterator[LibtorrentSwarm]:
    settings = SwarmSettings(interfaces=(an_address(),))
    made = LibtorrentSwarm(DeviceId("me"), settings, carries_all=carries_all)
    async with asyncio.TaskGroup() as group:
        service = group.create_task(made.run())
        await made.listening()
        yield made
        service.cancel()


def queue(of: LibtorrentSwarm) -> int:
    """Blocks that one neighbour may ask of it at once."""
    assert of._listening
    return int(of._listening.session.get_settings()["max_allowed_in_request_queue"])


@pytest.mark.parametrize(
    ("carries_all", "others", "fetching"),
    [(True, 1, 1), (False, 1, 2), (True, 4, 4), (False, 4, 5)],
)
async def test_a_seed_does_not_count_itself_among_those_that_fetch(
    carries_all: bool, others: int, fetching: int
) -> None:
    devices = [SwarmPeer(DeviceId(f"d{n}"), f"127.1.1.{n}", 7, False) for n in range(others)]
    another_seed = SwarmPeer(DeviceId("seed"), "127.1.1.99", 7, carries_all=True)
    async with swarm(carries_all=carries_all) as this:
        this.set_peers([*devices, another_seed])
        assert queue(this) == request_queue(SwarmSettings().outstanding, fetching)
        assert (queue(this) == MOST_REQUESTS) is (fetching == 1)


async def test_nothing_follows_from_what_lacks_until_neighbours_had_time_to_connect(
    tmp_path: Path,
) -> None:
    layer = PieceLayer.proved(ARTIFACT, layer_of(CONTENT))
    async with member(tmp_path / "a") as alice, member(tmp_path / "b") as bob:
        (bob.directory / ARTIFACT.pieces_root).write_bytes(CONTENT[:-1] + b"?")
        introduce(alice, bob)
        for each in (alice, bob):
            await each.swarm.supply(ARTIFACT, each.directory, layer)
        held = await alice.swarm.holdings(ARTIFACT)
        assert not held.known
        assert not all(held.here)

        async def known() -> bool:
            return (await alice.swarm.holdings(ARTIFACT)).known

        await eventually_async(known)


async def test_who_is_alone_knows_at_once_what_lacks(tmp_path: Path) -> None:
    layer = PieceLayer.proved(ARTIFACT, layer_of(CONTENT))
    async with member(tmp_path / "a") as alice:
        assert not (await alice.swarm.holdings(ARTIFACT)).known
        await alice.swarm.supply(ARTIFACT, alice.directory, layer)
        assert (await alice.swarm.holdings(ARTIFACT)).known
        await alice.swarm.drop(ARTIFACT)
        assert not (await alice.swarm.holdings(ARTIFACT)).known


async def test_every_neighbour_with_an_uplink_is_called_beyond_the_degree(tmp_path: Path) -> None:
    settings = replace(SwarmSettings(), degree=2)
    async with (
        member(tmp_path / "a", replace(settings, interfaces=(an_address(),))) as alice,
        member(tmp_path / "b") as bob,
        member(tmp_path / "c") as carol,
        member(tmp_path / "d") as dave,
    ):
        others = [replace(each.peer, uplink=each is dave) for each in (bob, carol, dave)]
        nobody = SwarmPeer(DeviceId("x"), an_address(), 9, carries_all=False)
        alice.swarm.set_peers([nobody, *others])
        layer = PieceLayer.proved(ARTIFACT, layer_of(CONTENT))
        await alice.swarm.supply(ARTIFACT, alice.directory, layer)
        transfer = alice.swarm._torrents.get(ARTIFACT.pieces_root)
        assert transfer
        assert transfer.called == {nobody.host, bob.peer.host, dave.peer.host}


async def test_a_layer_that_comes_while_the_disk_is_looked_at_is_not_lost(tmp_path: Path) -> None:
    layer = PieceLayer.proved(ARTIFACT, layer_of(CONTENT))
    async with member(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
        fetching = group.create_task(alice.fetch(ARTIFACT))
        while (transfer := alice.swarm._torrents.get(ARTIFACT.pieces_root)) is None:
            await asyncio.sleep(0)
        assert transfer.handle is None
        await alice.swarm.supply(ARTIFACT, alice.directory, layer)
        for piece in range(ARTIFACT.pieces):
            part = CONTENT[piece * PIECE : (piece + 1) * PIECE]
            await alice.swarm.inject(ARTIFACT, piece, part, Injected.USB)
        await fetching
        assert alice.content(ARTIFACT) == CONTENT


async def test_what_has_come_goes_to_the_disk_while_the_rest_still_comes(tmp_path: Path) -> None:
    async with member(tmp_path / "a") as alice, member(tmp_path / "s", seed=True) as seed:
        artifact, _ = an_artifact(seed.directory, 4 * WORTH_WRITING)
        await seed.swarm.share(artifact, seed.directory)
        seed.swarm.limit(Allowance(upload=2 * WORTH_WRITING))
        introduce(alice, seed)
        async with asyncio.TaskGroup() as group:
            fetching = group.create_task(alice.fetch(artifact))
            transfer = await eventually(lambda: alice.swarm._torrents.get(artifact.pieces_root))
            assert transfer
            await eventually(lambda: transfer.written >= WORTH_WRITING)
            assert not fetching.done()
            assert transfer.written < artifact.length
            seed.swarm.limit(Allowance())
