"""An allowance on real sessions: rates hold, payload stops and comes back, packets are marked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.core.allowance import Allowance
from p2pupd.model.release import Artifact
from p2pupd.model.setting import Seconds
from p2pupd.swarm.settings import SwarmSettings
from p2pupd.swarm.transfer import Transfer
from tests.marked import marks
from tests.support import eventually
from tests.swarming import Member, an_address, an_artifact, introduce, member

MIB = 1 << 20
STOPPED = Allowance(moving=False)
SLOW = Allowance(upload=512 * 1024)


@pytest.fixture
async def members(tmp_path: Path) -> AsyncIterator[tuple[Member, Member]]:
    """A seed without anything, and a device; they know each other."""
    async with AsyncExitStack() as stack:
        seed = await stack.enter_async_context(member(tmp_path / "seed", seed=True))
        device = await stack.enter_async_context(member(tmp_path / "device"))
        introduce(seed, device)
        yield seed, device


@pytest.fixture
async def group(members: tuple[Member, Member]) -> AsyncIterator[asyncio.TaskGroup]:
    """What it runs has ended before the members do."""
    async with asyncio.TaskGroup() as running:
        yield running


def transfer(one: Member, artifact: Artifact) -> Transfer:
    found = one.swarm._torrents.get(artifact.pieces_root)
    assert found
    return found


def taking_part(one: Member, artifact: Artifact) -> bool:
    return one.swarm._torrents.get(artifact.pieces_root) is not None


def connected(one: Member, artifact: Artifact) -> int:
    handle = transfer(one, artifact).handle
    return handle.status().num_peers if handle else 0


async def rate(device: Member, artifact: Artifact, over: int) -> float:
    """Bytes per second that come in, over so many bytes once it has settled."""
    clock = asyncio.get_running_loop().time
    await eventually(lambda: device.swarm.counts(artifact).lan > MIB // 2)
    first, began = device.swarm.counts(artifact).lan, clock()
    last = await eventually(
        lambda: now if (now := device.swarm.counts(artifact).lan) >= first + over else 0
    )
    return (last - first) / (clock() - began)


@pytest.mark.parametrize("allowance", [Allowance(upload=MIB), Allowance(download=MIB)])
async def test_a_rate_holds_between_neighbours_on_the_local_network(
    members: tuple[Member, Member], group: asyncio.TaskGroup, allowance: Allowance
) -> None:
    seed, device = members
    artifact, content = an_artifact(seed.directory, 4 * MIB)
    await seed.swarm.share(artifact, seed.directory)
    one = seed if allowance.upload else device
    one.swarm.limit(allowance)
    fetching = group.create_task(device.fetch(artifact))
    assert 0.8 * MIB <= await rate(device, artifact, 2 * MIB) <= 1.2 * MIB
    one.swarm.limit(Allowance())
    await fetching
    assert device.content(artifact) == content


@pytest.mark.parametrize("who", ["seed", "device"])
async def test_payload_stops_on_either_side_and_goes_on(
    members: tuple[Member, Member], group: asyncio.TaskGroup, who: str
) -> None:
    seed, device = members
    artifact, content = an_artifact(seed.directory, 2 * MIB)
    await seed.swarm.share(artifact, seed.directory)
    seed.swarm.limit(SLOW)
    fetching = group.create_task(device.fetch(artifact))
    await eventually(lambda: device.swarm.counts(artifact).lan > 0)
    one = seed if who == "seed" else device
    one.swarm.limit(STOPPED)
    await eventually(lambda: not connected(device, artifact) and not connected(seed, artifact))
    assert not fetching.done()
    for each in members:
        each.swarm.limit(Allowance())
    assert await fetching == artifact.length
    assert device.content(artifact) == content


async def test_what_is_exempt_moves_while_everything_else_waits(
    members: tuple[Member, Member],
    group: asyncio.TaskGroup,
) -> None:
    seed, device = members
    normal, _ = an_artifact(seed.directory, MIB, seed=1)
    alarm, content = an_artifact(seed.directory, MIB, seed=2)
    for each in (normal, alarm):
        await seed.swarm.share(each, seed.directory)
    for one in members:
        one.swarm.limit(replace(STOPPED, exempt=frozenset({alarm.pieces_root})))
    waiting = group.create_task(device.fetch(normal))
    await device.fetch(alarm)
    assert device.content(alarm) == content
    assert device.swarm.counts(normal).lan == 0
    for one in members:
        one.swarm.limit(Allowance())
    await waiting


async def test_an_artifact_that_comes_in_while_stopped_is_checked_and_moves_afterwards(
    members: tuple[Member, Member],
    group: asyncio.TaskGroup,
) -> None:
    seed, device = members
    seed.swarm.limit(STOPPED)
    artifact, content = an_artifact(seed.directory, MIB)
    await seed.swarm.share(artifact, seed.directory)
    fetching = group.create_task(device.fetch(artifact))
    await eventually(lambda: taking_part(device, artifact))
    assert transfer(seed, artifact).durable
    assert device.swarm.counts(artifact).lan == 0
    seed.swarm.limit(Allowance())
    await fetching
    assert device.content(artifact) == content


async def test_a_file_that_was_completed_by_others_is_looked_through_while_stopped(
    members: tuple[Member, Member], group: asyncio.TaskGroup, tmp_path: Path
) -> None:
    _, device = members
    artifact, content = an_artifact(tmp_path / "elsewhere", MIB)
    device.swarm.limit(STOPPED)
    fetching = group.create_task(device.fetch(artifact))
    await eventually(
        lambda: taking_part(device, artifact) and transfer(device, artifact).checked.is_set()
    )
    (device.directory / artifact.pieces_root).write_bytes(content)
    await device.swarm.share(artifact, device.directory)
    await fetching
    handle = transfer(device, artifact).handle
    assert handle
    assert handle.status().is_seeding
    assert not connected(device, artifact)


async def test_a_limit_from_before_the_session_counts_once_it_is_open(tmp_path: Path) -> None:
    async with member(tmp_path / "one") as one:
        one.swarm.limit(Allowance(upload=12345))
        listening = one.swarm._listening
        assert listening
        session = listening.session
        groups = (session.global_peer_class_id, session.local_peer_class_id)
        assert {session.get_peer_class(each)["upload_limit"] for each in groups} == {12345}


async def test_a_rate_that_libtorrent_cannot_count_is_none(tmp_path: Path) -> None:
    async with member(tmp_path / "one") as one:
        listening = one.swarm._listening
        assert listening
        session = listening.session
        for rate, counted in ((1000, 1000), (1 << 30, 1 << 30), (1 << 31, 0), (10 << 30, 0)):
            one.swarm.limit(Allowance(upload=rate, download=rate))
            group = session.get_peer_class(session.local_peer_class_id)
            assert (group["upload_limit"], group["download_limit"]) == (counted, counted)


async def test_what_is_stopped_here_is_not_stalled(tmp_path: Path) -> None:
    """The neighbour, which is allowed to fetch from the stopped seed, does start over."""
    async with AsyncExitStack() as stack:
        seed, *devices = [
            await stack.enter_async_context(
                member(
                    tmp_path / address,
                    SwarmSettings(interfaces=(address,), stall_after=Seconds(0.5)),
                    seed=number == 0,
                    address=address,
                )
            )
            for number, address in enumerate(an_address() for _ in range(3))
        ]
        artifact, _ = an_artifact(seed.directory, MIB)
        await seed.swarm.share(artifact, seed.directory)
        seed.swarm.limit(STOPPED)
        devices[0].swarm.limit(STOPPED)
        introduce(seed, *devices)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        fetching = [group.create_task(each.fetch(artifact)) for each in devices]
        await eventually(lambda: all(taking_part(d, artifact) for d in devices))
        for each in devices:
            await eventually(transfer(each, artifact).checked.is_set)
        first = [transfer(each, artifact).handle for each in devices]
        await eventually(lambda: transfer(devices[1], artifact).handle not in (first[1], None))
        assert transfer(devices[0], artifact).handle is first[0]
        for each in (seed, devices[0]):
            each.swarm.limit(Allowance())
        for task in fetching:
            await task


@pytest.mark.parametrize("dscp", [1, 10, 46])
async def test_packets_carry_the_mark_in_both_directions(
    members: tuple[Member, Member], group: asyncio.TaskGroup, dscp: int
) -> None:
    seed, device = members
    for each in members:
        each.swarm.limit(replace(SLOW, dscp=dscp))
    artifact, _ = an_artifact(seed.directory, MIB)
    await seed.swarm.share(artifact, seed.directory)
    fetching = group.create_task(device.fetch(artifact))
    await eventually(lambda: device.swarm.counts(artifact).lan > 0)
    assert marks(seed.peer.host) == marks(device.peer.host) == {dscp}
    seed.swarm.limit(Allowance())
    await fetching
