"""The contract of swarm/interface.py, over every backend."""

import asyncio
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from p2pupd.core.allowance import Allowance
from p2pupd.errors import ContentError, FetchError, SpaceError, UpdateError
from p2pupd.host.layer_files import layer_of_file
from p2pupd.model.device import TransferProgress
from p2pupd.model.release import Artifact
from p2pupd.swarm.interface import Injected
from tests.http_swarming import Party, acquainted, express_party, http_party, torrent_party
from tests.support import eventually, eventually_async, needs_root
from tests.swarming import an_artifact

MIB = 1 << 20

Join = Callable[[Path], AbstractAsyncContextManager[Party]]
KINDS: dict[str, Join] = {
    "libtorrent": torrent_party,
    "http": http_party,
    "express": express_party,
}


@pytest.fixture(params=KINDS)
def party(request: pytest.FixtureRequest) -> Join:
    return KINDS[request.param]


def ignore(_: TransferProgress) -> None:
    pass


async def trying(one: Party, artifact: Artifact, reports: list[TransferProgress]) -> object:
    """A fetch whose failure is a value."""
    try:
        return await one.swarm.fetch(artifact, one.directory, reports.append)
    except UpdateError as error:
        return error


@pytest.mark.parametrize("length", [1, 16384, 100_000, 3 * MIB + 17])
@pytest.mark.parametrize("piece_length", [16384, 65536])
async def test_an_artifact_is_fetched_from_a_neighbour(
    tmp_path: Path, party: Join, length: int, piece_length: int
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", length, piece_length)
    async with party(tmp_path / "seed") as seed, party(tmp_path / "a") as alice:
        acquainted(seed, alice)
        await seed.offer(artifact)
        reports: list[TransferProgress] = []
        counts = await alice.swarm.fetch(artifact, alice.directory, reports.append)
        assert (counts.lan, counts.wasted) == (length, 0)
        assert alice.swarm.counts(artifact) == counts
        assert alice.content(artifact) == content
        assert (reports[-1].done, reports[-1].length) == (length, length)


async def test_what_was_fetched_is_handed_on_to_another(tmp_path: Path, party: Join) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    async with party(tmp_path / "a") as alice, party(tmp_path / "b") as bob:
        async with party(tmp_path / "seed") as seed:
            acquainted(seed, alice)
            await seed.offer(artifact)
            await alice.swarm.fetch(artifact, alice.directory, ignore)
        acquainted(alice, bob)
        await alice.offer(artifact)
        await bob.swarm.fetch(artifact, bob.directory, ignore)
        assert bob.content(artifact) == content


async def test_a_fetch_waits_for_the_first_neighbour(tmp_path: Path, party: Join) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    async with party(tmp_path / "seed") as seed, party(tmp_path / "a") as alice:
        reports: list[TransferProgress] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(trying(alice, artifact, reports))
            await seed.offer(artifact)
            acquainted(seed, alice)
        assert alice.content(artifact) == content


async def test_a_cancelled_fetch_keeps_its_pieces(tmp_path: Path, party: Join) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 64 * MIB)
    reports: list[TransferProgress] = []
    async with party(tmp_path / "seed") as seed:
        async with party(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
            acquainted(seed, alice)
            await seed.offer(artifact)
            fetching = group.create_task(trying(alice, artifact, reports))
            await eventually(lambda: reports and reports[-1].done > MIB)
            fetching.cancel()
        async with party(tmp_path / "a") as alice:
            acquainted(seed, alice)
            counts = await alice.swarm.fetch(artifact, alice.directory, ignore)
            assert counts.received <= artifact.length - reports[-1].done
            assert alice.content(artifact) == content
            assert (await alice.swarm.fetch(artifact, alice.directory, ignore)) == counts


async def test_dropping_ends_a_fetch_and_leaves_the_file_alone(tmp_path: Path, party: Join) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", MIB)
    other, _ = an_artifact(tmp_path / "a", MIB, seed=2)
    async with party(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
        await alice.swarm.drop(other)
        await alice.offer(other)
        await alice.swarm.drop(other)
        await alice.swarm.drop(other)
        assert len(alice.content(other)) == MIB
        reports: list[TransferProgress] = []
        fetching = group.create_task(trying(alice, artifact, reports))
        await eventually(lambda: reports)
        await alice.swarm.drop(artifact)
        error = await fetching
    assert isinstance(error, FetchError)
    assert error.reason == "dropped"


async def test_a_fetch_ends_with_the_swarm(tmp_path: Path, party: Join) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", MIB)
    reports: list[TransferProgress] = []
    async with asyncio.TaskGroup() as group:
        async with party(tmp_path / "a") as alice:
            fetching = group.create_task(trying(alice, artifact, reports))
            await eventually(lambda: reports)
        error = await fetching
    assert isinstance(error, FetchError)
    assert error.reason == "stopped"


async def test_sharing_twice_equals_once_and_nothing_is_fetched(
    tmp_path: Path, party: Join
) -> None:
    artifact, _ = an_artifact(tmp_path / "a", MIB)
    async with party(tmp_path / "a") as alice:
        await alice.swarm.share(artifact, alice.directory)
        await alice.swarm.share(artifact, alice.directory)
        assert (await alice.swarm.fetch(artifact, alice.directory, ignore)).lan == 0


@pytest.mark.parametrize("what", ["missing", "longer"])
async def test_a_file_that_is_not_complete_is_not_shared(
    tmp_path: Path, party: Join, what: str
) -> None:
    artifact, content = an_artifact(tmp_path / "a", MIB)
    path = tmp_path / "a" / artifact.pieces_root
    path.unlink()
    if what == "longer":
        path.write_bytes(content[:-1] + b"\0\0\0")
    async with party(tmp_path / "a") as alice:
        for _ in range(2):
            with pytest.raises(ContentError, match="not the complete artifact"):
                await alice.swarm.share(artifact, alice.directory)


@needs_root
async def test_a_full_disk_is_a_space_error_and_the_fetch_goes_on_when_there_is_room(
    tmp_path: Path, party: Join
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 4 * MIB)
    small = tmp_path / "a"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", str(small)], check=True)
    try:
        async with party(tmp_path / "seed") as seed, party(small) as alice:
            acquainted(seed, alice)
            await seed.offer(artifact)
            with pytest.raises(SpaceError, match="No space left"):
                await alice.swarm.fetch(artifact, alice.directory, ignore)
            subprocess.run(["mount", "-o", "remount,size=9M", str(small)], check=True)
            await alice.swarm.fetch(artifact, alice.directory, ignore)
            assert alice.content(artifact) == content
    finally:
        subprocess.run(["umount", str(small)], check=True)


def parts(artifact: Artifact, content: bytes) -> list[bytes]:
    size = artifact.piece_length
    return [content[at : at + size] for at in range(0, len(content), size)]


async def test_supplied_pieces_complete_a_fetch_that_has_no_neighbours(
    tmp_path: Path, party: Join
) -> None:
    artifact, content = an_artifact(tmp_path / "stick", MIB + 5)
    layer = layer_of_file(artifact, tmp_path / "stick")
    pieces = parts(artifact, content)
    reports: list[TransferProgress] = []
    nothing = [False] * artifact.pieces
    async with party(tmp_path / "a") as alice:
        with pytest.raises(FetchError):
            await alice.swarm.inject(artifact, 0, pieces[0], Injected.USB)
        assert list((await alice.swarm.holdings(artifact)).here) == nothing
        async with asyncio.TaskGroup() as group:
            group.create_task(trying(alice, artifact, reports))
            await eventually(lambda: reports)
            await alice.swarm.supply(artifact, alice.directory, layer)
            await alice.swarm.supply(artifact, alice.directory, layer)
            held = await alice.swarm.holdings(artifact)
            assert (list(held.here), list(held.elsewhere)) == (nothing, [0] * artifact.pieces)
            for piece in [3, 3]:
                await alice.swarm.inject(artifact, piece, pieces[piece], Injected.USB)
            for piece, part in enumerate(pieces):
                await alice.swarm.inject(artifact, piece, part, Injected.UPLINK)
        assert alice.content(artifact) == content
        assert all((await alice.swarm.holdings(artifact)).here)
        counts = alice.swarm.counts(artifact)
        assert (counts.lan, counts.usb, counts.received) == (0, artifact.piece_length, 0)
        assert counts.uplink == artifact.length - artifact.piece_length
        assert reports[-1].done == artifact.length


async def test_sources_sum_to_what_is_here_also_after_a_restart(
    tmp_path: Path, party: Join
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 4 * MIB)
    pieces = parts(artifact, content)
    layer = layer_of_file(artifact, tmp_path / "seed")
    sources = [Injected.USB, Injected.UPLINK, Injected.REUSE, Injected.LAN]
    quarter = artifact.pieces // 8
    async with party(tmp_path / "a") as alice:
        await alice.swarm.supply(artifact, alice.directory, layer)
        for piece, part in enumerate(pieces[: 4 * quarter]):
            await alice.swarm.inject(artifact, piece, part, sources[piece // quarter])
        await eventually_async(partial(holds, alice, artifact, 4 * quarter))
    async with party(tmp_path / "seed") as seed, party(tmp_path / "a") as alice:
        acquainted(seed, alice)
        await seed.offer(artifact)
        counts = await alice.swarm.fetch(artifact, alice.directory, ignore)
        assert counts.usb == counts.uplink == counts.reuse == MIB // 2
        assert counts.lan == artifact.length - 3 * MIB // 2
        assert counts.received == artifact.length // 2
        assert alice.content(artifact) == content
    async with party(tmp_path / "a") as alice:
        await alice.swarm.supply(artifact, alice.directory, layer)
        again = await alice.swarm.fetch(artifact, alice.directory, ignore)
        assert replace(again, received=counts.received) == replace(counts, sent=0)


async def holds(one: Party, artifact: Artifact, pieces: int) -> bool:
    return sum((await one.swarm.holdings(artifact)).here) == pieces


async def test_what_may_not_move_stops_and_goes_on_and_what_is_exempt_moves(
    tmp_path: Path, party: Join
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 8 * MIB)
    alarm, _ = an_artifact(tmp_path / "seed", 4 * MIB, seed=2)
    async with party(tmp_path / "seed") as seed, party(tmp_path / "a") as alice:
        acquainted(seed, alice)
        await seed.offer(artifact)
        await seed.offer(alarm)
        alice.swarm.limit(Allowance(download=MIB))
        async with asyncio.TaskGroup() as group:
            fetching = group.create_task(alice.swarm.fetch(artifact, alice.directory, ignore))
            await eventually(lambda: alice.swarm.counts(artifact).lan)
            alice.swarm.limit(Allowance(moving=False, exempt=frozenset({alarm.pieces_root})))
            await alice.swarm.fetch(alarm, alice.directory, ignore)
            assert not fetching.done()
            assert alice.swarm.counts(artifact).lan < 6 * MIB
            alice.swarm.limit(Allowance())
        assert alice.content(artifact) == content


async def test_what_is_held_back_is_asked_of_nobody_until_it_is_injected_or_let_go(
    tmp_path: Path, party: Join
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 40 * MIB + 5)
    layer = layer_of_file(artifact, tmp_path / "seed")
    pieces = parts(artifact, content)
    half, quarter = artifact.pieces // 2, artifact.pieces // 4
    reports: list[TransferProgress] = []
    async with party(tmp_path / "seed") as seed, party(tmp_path / "a") as alice:
        acquainted(seed, alice)
        await seed.offer(artifact)
        alice.swarm.hold_back(artifact, range(half))
        await alice.swarm.supply(artifact, alice.directory, layer)
        async with asyncio.TaskGroup() as group:
            fetching = group.create_task(trying(alice, artifact, reports))
            rest = artifact.pieces - half
            await eventually_async(partial(holds, alice, artifact, rest))
            assert not any((await alice.swarm.holdings(artifact)).here[:half])
            for piece in range(quarter):
                await alice.swarm.inject(artifact, piece, pieces[piece], Injected.REUSE)
            await eventually_async(partial(holds, alice, artifact, rest + quarter))
            assert not fetching.done()
            alice.swarm.hold_back(artifact, ())
        assert alice.content(artifact) == content
        counts = alice.swarm.counts(artifact)
        assert counts.reuse == quarter * artifact.piece_length
        assert counts.lan == artifact.length - counts.reuse
        assert reports[-1].done == artifact.length
        assert all((await alice.swarm.holdings(artifact)).here)


async def test_a_fetch_ends_when_all_that_was_held_back_is_injected(
    tmp_path: Path, party: Join
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB + 5)
    layer = layer_of_file(artifact, tmp_path / "seed")
    async with party(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
        alice.swarm.hold_back(artifact, range(artifact.pieces))
        await alice.swarm.supply(artifact, alice.directory, layer)
        group.create_task(trying(alice, artifact, []))
        for piece, part in enumerate(parts(artifact, content)):
            await alice.swarm.inject(artifact, piece, part, Injected.REUSE)
    assert alice.content(artifact) == content
