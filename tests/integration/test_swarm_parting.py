"""On a large floor, devices that have their share leave the seed to those that do not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from p2pupd.model.release import Artifact
from tests.support import eventually
from tests.swarming import BarePeer, Member, an_artifact, bare_peer, introduce, member

MIB = 1 << 20
FLOOR = 18
SIZE = 2 * MIB
RATE = MIB


@asynccontextmanager
async def floor(tmp_path: Path) -> AsyncIterator[tuple[Artifact, bytes, BarePeer, list[Member]]]:
    """A slow seed, and devices that know it and each other."""
    artifact, content = an_artifact(tmp_path / "seed", SIZE)
    async with AsyncExitStack() as stack:
        seed = stack.enter_context(bare_peer(artifact, tmp_path / "seed", rate=RATE, requests=2))
        devices = [
            await stack.enter_async_context(member(tmp_path / f"d{number}"))
            for number in range(FLOOR)
        ]
        for one in devices:
            others = [each.peer for each in devices if each is not one]
            one.swarm.set_peers([seed.peer, *others])
        yield artifact, content, seed, devices


def left_the_seed(one: Member, seed: BarePeer) -> bool:
    return seed.peer.host in one.swarm._away


async def test_devices_with_their_share_leave_the_seed_to_the_others(tmp_path: Path) -> None:
    async with floor(tmp_path) as (artifact, content, seed, devices):
        left: set[int] = set()

        def somebody_left() -> bool:
            left.update(n for n, one in enumerate(devices) if left_the_seed(one, seed))
            return bool(left)

        async with asyncio.TaskGroup() as group:
            for one in devices:
                group.create_task(one.fetch(artifact))
            await eventually(somebody_left, within=20)
        assert all(one.content(artifact) == content for one in devices)
        assert seed.sent < 1.5 * SIZE
        await eventually(lambda: not any(left_the_seed(one, seed) for one in devices))


async def test_the_share_of_a_device_that_goes_is_brought_by_the_others(tmp_path: Path) -> None:
    async with floor(tmp_path) as (artifact, content, seed, (gone, *devices)):
        async with asyncio.TaskGroup() as group:
            for one in devices:
                group.create_task(one.fetch(artifact))
            idle = group.create_task(gone.fetch(artifact))
            await eventually(lambda: any(left_the_seed(one, seed) for one in devices), within=20)
            idle.cancel()
        assert all(one.content(artifact) == content for one in devices)


async def test_a_small_floor_stays_with_its_seed(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    async with (
        member(tmp_path / "seed", seed=True) as seed,
        member(tmp_path / "a") as alice,
        member(tmp_path / "b") as bob,
    ):
        introduce(seed, alice, bob)
        await seed.swarm.share(artifact, seed.directory)
        async with asyncio.TaskGroup() as group:
            group.create_task(alice.fetch(artifact))
            group.create_task(bob.fetch(artifact))
        assert alice.content(artifact) == bob.content(artifact) == content
        assert alice.swarm._away == bob.swarm._away == frozenset()
