"""A release comes onto a floor, and to every device of it."""

from pathlib import Path

import pytest

from scenarios.lib import faults
from scenarios.lib.fleet import knows, powered, until
from scenarios.lib.floor import MIB, PATIENT, floor_of, runs
from scenarios.lib.ground import Ground
from scenarios.lib.spread import Spread
from scenarios.lib.stick import Stick

MANY = 15
OTHER_BOARD = "another-board"


@pytest.mark.timeout(180)
async def test_release_on_a_stick_reaches_every_device_without_internet(
    ground: Ground, tmp_path: Path
) -> None:
    async with floor_of(ground, tmp_path, devices=MANY, size=16 * MIB) as floor:
        image = floor.office.release(1)
        floor.stick().plug_in()
        await floor.all_run(1, image, within=100)


@pytest.mark.timeout(120)
async def test_a_device_that_joins_late_gets_its_release_from_the_floor(
    ground: Ground, tmp_path: Path
) -> None:
    async with floor_of(ground, tmp_path, devices=3) as floor:
        image = floor.office.release(1)
        stick = floor.stick()
        stick.plug_in()
        await floor.all_run(1, image, within=60)
        stick.pull()
        with faults.unplugged(floor.fleet, floor.seed):
            late = floor.fleet.device("late", settings=PATIENT)
            async with powered([late]):
                await runs(late, 1, image, within=60)


@pytest.mark.timeout(120)
async def test_of_two_releases_at_once_every_device_ends_with_the_newer(
    ground: Ground, tmp_path: Path
) -> None:
    async with floor_of(ground, tmp_path) as floor:
        port = floor.fleet.port("other")
        other = floor.fleet.seed("other", port=port)
        async with powered([other]):
            await knows(other, len(floor.devices), within=60)
            floor.office.release(1)
            older = floor.stick()
            image = floor.office.release(2)
            newer = Stick(floor.office, floor.fleet.directory, port)
            older.plug_in()
            newer.plug_in()
            await floor.all_run(2, image, within=90)


@pytest.mark.timeout(120)
async def test_on_mixed_hardware_each_device_gets_its_own_image(
    ground: Ground, tmp_path: Path
) -> None:
    async with floor_of(ground, tmp_path, devices=3) as floor:
        hardware = {"device": {"hardware": [OTHER_BOARD]}}
        others = [
            floor.fleet.device(f"x{number}", settings=PATIENT | hardware) for number in range(4)
        ]
        async with powered(others):
            for each in others:
                await knows(each, len(floor.devices) + len(others), within=60)
            image = floor.office.release(1)
            image_of_others = floor.office.release(2, hardware=OTHER_BOARD)
            floor.stick().plug_in()
            await floor.all_run(1, image, within=90)
            for each in others:
                await runs(each, 2, image_of_others, within=60)


@pytest.mark.timeout(120)
async def test_when_the_seed_is_unplugged_midway_the_floor_completes(
    ground: Ground, tmp_path: Path
) -> None:
    async with floor_of(ground, tmp_path, size=12 * MIB) as floor:
        for each in floor.everyone:
            ground.limit(floor.fleet.host_of(each), 40)
        image = floor.office.release(1)
        spread = Spread(image, floor.devices)

        async def everywhere() -> bool:
            return spread.look() == 1

        floor.stick().plug_in()
        await until(everywhere, 40, "every piece is on the floor")
        with faults.unplugged(floor.fleet, floor.seed):
            await floor.all_run(1, image, within=60)
