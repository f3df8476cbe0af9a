"""Real libtorrent sessions on loopback addresses."""

import asyncio
import subprocess
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2pupd.errors import ContentError, FetchError, SpaceError, SwarmError, UpdateError
from p2pupd.model.device import TransferProgress
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact
from p2pupd.swarm.interface import SwarmPeer
from p2pupd.swarm.session import LibtorrentSwarm
from p2pupd.swarm.settings import SwarmSettings
from tests.support import eventually, eventually_async, needs_root
from tests.swarming import Member, an_address, an_artifact, bare_peer, introduce, member

MIB = 1 << 20


async def refused(one: Member, artifact: Artifact) -> bool:
    """It cannot share the artifact any more."""
    try:
        await one.swarm.share(artifact, one.directory)
    except ContentError:
        return True
    return False


async def outcome(work: Coroutine[Any, Any, int]) -> int | Exception:
    """What it returns, or what it raises."""
    try:
        return await work
    except UpdateError as error:
        return error


async def test_an_artifact_is_fetched_from_one_seed(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 3 * MIB + 17)
    async with member(tmp_path / "seed", seed=True) as seed, member(tmp_path / "a") as alice:
        introduce(seed, alice)
        await seed.swarm.share(artifact, seed.directory)
        reports: list[TransferProgress] = []
        assert await alice.fetch(artifact, reports) == artifact.length
        assert alice.content(artifact) == content
        assert reports[-1].done == artifact.length
        await eventually(lambda: seed.swarm.counts(artifact).sent >= artifact.length)


@pytest.mark.parametrize("length", [1, 16384, 16385, 100_000, 40_000])
@pytest.mark.parametrize("piece_length", [16384, 65536])
async def test_artifacts_of_every_shape_are_carried(
    tmp_path: Path, length: int, piece_length: int
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", length, piece_length)
    async with member(tmp_path / "seed", seed=True) as seed, member(tmp_path / "a") as alice:
        introduce(seed, alice)
        await seed.swarm.share(artifact, seed.directory)
        await alice.fetch(artifact)
        assert alice.content(artifact) == content


async def test_four_devices_complete_and_then_serve_a_latecomer_without_the_seed(
    tmp_path: Path,
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 4 * MIB)
    async with (
        member(tmp_path / "a") as alice,
        member(tmp_path / "b") as bob,
        member(tmp_path / "c") as carol,
        member(tmp_path / "d") as dave,
        member(tmp_path / "e") as erin,
    ):
        async with member(tmp_path / "seed", seed=True) as seed:
            first = (alice, bob, carol, dave)
            introduce(seed, *first)
            await seed.swarm.share(artifact, seed.directory)
            async with asyncio.TaskGroup() as group:
                for one in first:
                    group.create_task(one.fetch(artifact))
            assert all(one.content(artifact) == content for one in first)
        introduce(*first, erin)
        await erin.fetch(artifact)
        assert erin.content(artifact) == content


async def test_a_neighbour_that_appears_later_is_called_at_once(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    async with member(tmp_path / "seed", seed=True) as seed, member(tmp_path / "a") as alice:
        async with asyncio.TaskGroup() as group:
            group.create_task(alice.fetch(artifact))
            await seed.swarm.share(artifact, seed.directory)
            introduce(seed, alice)
        assert alice.content(artifact) == content


async def test_sharing_waits_for_nobody_and_twice_equals_once(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", MIB)
    async with member(tmp_path / "seed", seed=True) as seed:
        await seed.swarm.share(artifact, seed.directory)
        await seed.swarm.share(artifact, seed.directory)
        assert (await seed.fetch(artifact)) == 0
    async with member(tmp_path / "seed", seed=True) as again:
        await again.swarm.share(artifact, again.directory)


async def test_a_file_that_is_not_the_artifact_is_not_shared(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    (tmp_path / "seed" / artifact.pieces_root).write_bytes(content[:-1] + b"\0\0\0")
    async with member(tmp_path / "seed", seed=True) as seed:
        with pytest.raises(ContentError, match="not the complete artifact"):
            await seed.swarm.share(artifact, seed.directory)
        with pytest.raises(ContentError):
            await seed.swarm.share(artifact, seed.directory)


async def test_a_dropped_artifact_is_served_no_more_and_its_file_stays(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", MIB)
    async with member(tmp_path / "seed", seed=True) as seed, member(tmp_path / "a") as alice:
        introduce(seed, alice)
        await seed.swarm.drop(artifact)
        await seed.swarm.share(artifact, seed.directory)
        await alice.fetch(artifact)
        await eventually(lambda: seed.swarm.counts(artifact).sent == MIB)
        await seed.swarm.drop(artifact)
        await seed.swarm.drop(artifact)
        assert (seed.directory / artifact.pieces_root).stat().st_size == MIB
        assert seed.swarm.counts(artifact).sent == MIB


@pytest.mark.parametrize("state", ["being added", "under way"])
async def test_dropping_ends_a_fetch_with_an_error(tmp_path: Path, state: str) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", MIB)
    reports: list[TransferProgress] = []
    async with member(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
        fetching = group.create_task(outcome(alice.fetch(artifact, reports)))
        await asyncio.sleep(0)
        if state == "under way":
            await eventually(lambda: reports)
        await alice.swarm.drop(artifact)
        failure = await fetching
        assert isinstance(failure, FetchError)
        assert failure.reason == "dropped"


async def test_a_cancelled_fetch_keeps_its_pieces_and_can_be_started_again(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 4 * MIB)
    with bare_peer(artifact, tmp_path / "seed", rate=2 * MIB) as seed:
        async with member(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
            alice.swarm.set_peers([seed.peer])
            reports: list[TransferProgress] = []
            fetching = group.create_task(alice.fetch(artifact, reports))
            await eventually(lambda: reports and reports[-1].done > MIB)
            fetching.cancel()
            await eventually(fetching.done)
            first = alice.swarm.counts(artifact).lan
            assert MIB < first < artifact.length
            assert await alice.fetch(artifact) - first <= artifact.length - MIB
            assert alice.content(artifact) == content


async def test_two_fetches_of_one_artifact_share_it_and_one_may_leave(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    async with member(tmp_path / "seed", seed=True) as seed, member(tmp_path / "a") as alice:
        async with asyncio.TaskGroup() as group:
            stays = group.create_task(alice.fetch(artifact))
            reports: list[TransferProgress] = []
            leaves = group.create_task(alice.fetch(artifact, reports))
            await eventually(lambda: reports)
            leaves.cancel()
            await eventually(leaves.done)
            await seed.swarm.share(artifact, seed.directory)
            introduce(seed, alice)
            assert await stays == MIB
        assert alice.content(artifact) == content


async def test_a_file_put_there_by_somebody_else_completes_a_fetch(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "stick", MIB)
    async with member(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
        reports: list[TransferProgress] = []
        fetching = group.create_task(alice.fetch(artifact, reports))
        await eventually(lambda: reports)
        (alice.directory / artifact.pieces_root).write_bytes(content)
        await alice.swarm.share(artifact, alice.directory)
        assert await fetching == 0


async def test_an_artifact_moves_with_its_directory(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "incoming", MIB)
    async with member(tmp_path / "incoming", seed=True) as seed, member(tmp_path / "a") as alice:
        introduce(seed, alice)
        await seed.swarm.share(artifact, tmp_path / "incoming")
        (tmp_path / "incoming").rename(tmp_path / "objects")
        await seed.swarm.share(artifact, tmp_path / "objects")
        await alice.fetch(artifact)
        assert alice.content(artifact) == content


async def test_a_leech_takes_and_never_gives(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 4 * MIB)
    with bare_peer(artifact, tmp_path / "seed", rate=4 * MIB) as seed:
        async with (
            member(tmp_path / "a", uploads=False) as leech,
            member(tmp_path / "b") as bob,
        ):
            leech.swarm.set_peers([seed.peer, bob.peer])
            bob.swarm.set_peers([seed.peer, leech.peer])
            async with asyncio.TaskGroup() as group:
                group.create_task(leech.fetch(artifact))
                group.create_task(bob.fetch(artifact))
            assert leech.content(artifact) == bob.content(artifact) == content
            assert leech.swarm.counts(artifact).sent == 0


@needs_root
async def test_a_full_disk_is_a_space_error_and_later_the_rest_is_fetched(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 4 * MIB)
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "none", str(small)], check=True)
    try:
        async with member(tmp_path / "seed", seed=True) as seed, member(small) as alice:
            introduce(seed, alice)
            await seed.swarm.share(artifact, seed.directory)
            with pytest.raises(SpaceError, match="No space left"):
                await alice.fetch(artifact)
            subprocess.run(["mount", "-o", "remount,size=9M", str(small)], check=True)
            await alice.fetch(artifact)
            assert alice.content(artifact) == content
    finally:
        subprocess.run(["umount", str(small)], check=True)


async def test_a_share_whose_file_is_gone_is_taken_out_of_the_swarm(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 4 * MIB)
    async with member(tmp_path / "seed", seed=True) as seed, member(tmp_path / "a") as alice:
        introduce(seed, alice)
        await seed.swarm.share(artifact, seed.directory)
        (seed.directory / artifact.pieces_root).unlink()
        async with asyncio.TaskGroup() as group:
            fetching = group.create_task(alice.fetch(artifact))
            await eventually_async(lambda: refused(seed, artifact))
            (seed.directory / artifact.pieces_root).write_bytes(content)
            await seed.swarm.share(artifact, seed.directory)
            await fetching
        assert alice.content(artifact) == content


async def test_a_port_in_use_is_an_error_that_says_what_to_check(tmp_path: Path) -> None:
    async with member(tmp_path / "a") as alice:
        settings = SwarmSettings(interfaces=(alice.peer.host,), port=alice.peer.port)
        with pytest.raises(SwarmError, match=r"in use.*check swarm\.interfaces and swarm\.port"):
            await LibtorrentSwarm(DeviceId("other"), settings).run()
    with pytest.raises(SwarmError, match=r"check swarm\.interfaces"):
        await LibtorrentSwarm(DeviceId("x"), SwarmSettings(interfaces=("192.0.2.99",))).run()


async def test_every_interface_listens_on_the_same_port(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    first, second = an_address(), an_address()
    settings = SwarmSettings(interfaces=(first, second))
    async with (
        member(tmp_path / "seed", settings, seed=True, address=second) as seed,
        member(tmp_path / "a") as alice,
    ):
        alice.swarm.set_peers([seed.peer])
        await seed.swarm.share(artifact, seed.directory)
        await alice.fetch(artifact)
        assert alice.content(artifact) == content


async def test_what_began_before_the_swarm_ran_waits_for_it(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path, MIB)
    address = an_address()
    swarm = LibtorrentSwarm(DeviceId(address), SwarmSettings(interfaces=(address,)))
    assert swarm.listen_port == 0
    async with asyncio.TaskGroup() as group:
        sharing = group.create_task(swarm.share(artifact, tmp_path))
        await asyncio.sleep(0)
        service = group.create_task(swarm.run())
        await sharing
        service.cancel()


async def test_a_fetch_ends_with_an_error_when_the_swarm_stops(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", MIB)
    reports: list[TransferProgress] = []
    async with asyncio.TaskGroup() as group:
        async with member(tmp_path / "a") as alice:
            fetching = group.create_task(outcome(alice.fetch(artifact, reports)))
            await eventually(lambda: reports)
        failure = await fetching
    assert isinstance(failure, FetchError)
    assert failure.reason == "stopped"


async def test_an_artifact_that_bittorrent_cannot_carry_is_a_fetch_error(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", MIB)
    async with member(tmp_path / "a") as alice:
        with pytest.raises(FetchError, match="cannot be a torrent"):
            await alice.fetch(replace(artifact, piece_length=10_000))


async def test_neighbours_without_an_address_are_left_out(tmp_path: Path) -> None:
    async with member(tmp_path / "a") as alice:
        alice.swarm.set_peers([SwarmPeer(DeviceId("x"), "no-address.local", 1, False)])
        assert alice.swarm.blocked == frozenset()
