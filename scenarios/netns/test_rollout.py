"""Rollouts on 12 devices with slots and probes of their own: one that halts, one that is cut."""

import time
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from p2pupd.model.rollout import Rollout, Wave
from scenarios.lib import faults
from scenarios.lib.fleet import Json, all_reach, events, fleet, knows, phases, powered, until
from scenarios.lib.net import network
from scenarios.lib.office import Office
from scenarios.lib.rollout import (
    Operator,
    codes,
    identity,
    installations,
    most_at_once,
    of_stages,
    operator,
    publish,
    runs,
    settings,
    view,
)
from tests.support import needs_root

KIB = 1024
SIZE = 512 * KIB
QUARTER_FIRST = Rollout(waves=(Wave(250), Wave(500), Wave(1000)), max_failures=200)
STAGES = (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3)
AT_ONCE = 2
CUT = Rollout(waves=QUARTER_FIRST.waves, max_failures=200, max_concurrent=AT_ONCE)
TOLD = ("epoch", "components", "deployment", "history", "halts", "holds", "links", "groups")
"""What devices say of themselves; that they still live, and say nothing new, spreads at rest."""


@needs_root
@pytest.mark.timeout(300)
async def test_a_release_that_fails_on_half_the_devices_stays_in_its_first_wave(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path / "office", SIZE)
    release = publish(office, QUARTER_FIRST)
    with network() as net:
        async with fleet(net, office.anchor) as floor:
            seed = floor.seed(settings=settings())
            failing = range(0, len(STAGES), 2)
            devices = of_stages(floor, release, *STAGES, common=settings(), failing=failing)
            async with powered([seed, *devices]):
                for each in devices:
                    await knows(each, len(STAGES))
                office.stick(tmp_path / "pocket").rename(floor.stick)
                await _halted(devices)


async def _halted(devices: list[Device]) -> None:
    first, later = devices[:3], devices[3:]

    async def halted() -> bool:
        """Nothing else than the halt and the wave before holds a device back."""
        return all([await codes(each) == {"halted", "wave"} for each in later])

    began = time.monotonic()
    await until(halted, 120, "every device of a later wave has heard of the halt")
    print(f"halted everywhere {time.monotonic() - began:.1f} s after the stick came")
    await all_reach([first[0], first[2]], "reverted", within=30)
    await all_reach([first[1]], "confirmed", within=30)
    assert [await runs(each) for each in first] == [0, 1, 0]
    for each in later:
        assert await phases([each]) == ["waiting"]
        assert await installations(each) == []
        assert await runs(each) == 0
    await until(lambda: _noted(later), 10, "the halt is in every device's history")


async def _noted(devices: list[Device]) -> bool:
    told = [{line["event"] for line in await events(each)} for each in devices]
    return all("rollout.halted" in each for each in told)


@needs_root
@pytest.mark.timeout(300)
async def test_a_cut_in_mid_rollout_lets_neither_side_run_ahead_and_heals_within_seconds(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path / "office", SIZE)
    release = publish(office, CUT)
    boss = await operator(tmp_path / "operator", office.anchor)
    common = settings(site={"operators": [boss.public]})
    with network() as net:
        async with fleet(net, office.anchor) as floor:
            seed = floor.seed(settings=common)
            devices = of_stages(floor, release, *STAGES, common=common)
            async with powered([seed, *devices]):
                for each in devices:
                    await knows(each, len(STAGES))
                office.stick(tmp_path / "pocket").rename(floor.stick)
                await until(lambda: _busy(devices[3:6]), 90, "the second wave has begun")
                small = [devices[each] for each in (0, 4, 5, 6, 7)]
                large = [each for each in (seed, *devices) if each not in small]
                with faults.partition(floor, large, small):
                    await _apart(large, small, boss)
                await _together([*large, *small])
                assert not any([await installations(each) for each in devices[6:]])
                await boss.orders(devices[0], "resume", "1")
                await all_reach(devices, "confirmed", within=180)
                assert await most_at_once(devices) <= AT_ONCE


async def _busy(devices: list[Device]) -> bool:
    return any([await installations(each) for each in devices])


async def _apart(large: list[Device], small: list[Device], boss: Operator) -> None:
    """Each side sees the other one silent; it ends what was begun, and then is held in the large
    one."""

    async def noticed() -> bool:
        """The seed, which is never restarted, sees who is gone; who waits in the small part says
        why."""
        waits = [each for each in small if await phases([each]) == ["waiting"]]
        gone = _silent(await view(large[0]), small)
        return gone and all(["cut-off" in await codes(each) for each in waits])

    async def at_rest() -> bool:
        phases_now = set(await phases([*large[1:], *small]))
        return phases_now == {"confirmed", "waiting"}

    await until(noticed, 60, "both sides notice the cut")
    await until(at_rest, 60, "what was begun has ended")
    waiting = [each for each in small if await phases([each]) == ["waiting"]]
    assert waiting
    assert all(["cut-off" in await codes(each) for each in waiting])
    assert all(["wave" in await codes(each) for each in large[-4:]])
    await boss.orders(large[0], "hold", "1")
    await until(lambda: _held(large[-4:]), 20, "the hold has crossed its side")


def _silent(known: dict[str, Json], others: list[Device]) -> bool:
    return all(known.get(identity(each), {}).get("state") == "silent" for each in others)


async def _held(devices: list[Device]) -> bool:
    return all(["hold" in await codes(each) for each in devices])


async def _together(everybody: list[Device]) -> None:
    """All views are the same again, and the hold is known everywhere."""
    began = time.monotonic()

    async def equal() -> bool:
        views = [await view(each) for each in everybody]
        told = [{name: [e[each] for each in TOLD] for name, e in v.items()} for v in views]
        return all(len(each) == len(everybody) and each == told[0] for each in told)

    await until(equal, 60, "all views are equal")
    took = time.monotonic() - began
    print(f"all views are equal {took:.1f} s after the heal")
    assert all(["order.taken" in [line["event"] for line in await events(e)] for e in everybody])
