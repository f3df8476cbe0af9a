"""A rollout on 12 devices with slots and probes of their own that halts."""

import time
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from p2pupd.model.rollout import Rollout, Wave
from scenarios.lib.fleet import all_reach, events, fleet, knows, phases, powered, until
from scenarios.lib.net import network
from scenarios.lib.office import Office
from scenarios.lib.rollout import codes, installations, of_stages, publish, runs, settings
from tests.support import needs_root

KIB = 1024
SIZE = 512 * KIB
QUARTER_FIRST = Rollout(waves=(Wave(250), Wave(500), Wave(1000)), max_failures=200)
STAGES = (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3)


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
