"""Devices and daemons of different ages on one floor."""

import shutil
from compileall import compile_dir
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from p2pupd.publisher.authority import refresh, rotate
from scenarios.lib import faults
from scenarios.lib.fleet import fleet, knows, on, powered, until
from scenarios.lib.floor import MIB, PATIENT, floor_of, runs
from scenarios.lib.ground import Ground
from scenarios.lib.office import Office
from scenarios.lib.stick import Stick
from tests.support import ROOT

DAY = 86400
TWO_YEARS = 2 * 365 * DAY
ROLES = ("root", "targets", "snapshot", "timestamp", "demo")


@pytest.mark.timeout(120)
async def test_a_device_two_years_behind_follows_the_rotated_keys(
    ground: Ground, tmp_path: Path
) -> None:
    office = Office(tmp_path / "office", MIB, ago=TWO_YEARS)
    for number, role in enumerate((*ROLES, "root")):
        rotate(office.directory, role, None, office.signing(number * 100 * DAY), office.sealer)
    office.now += TWO_YEARS
    refresh(office.directory, office.signing())
    async with fleet(ground, office.anchor) as made:
        seed = made.seed()
        devices = [made.device(f"d{number}", settings=PATIENT) for number in range(7)]
        async with powered([seed, *devices[1:]]):
            await knows(seed, len(devices) - 1, within=60)
            image = office.release(1)
            Stick(office, made.directory, made.stick).plug_in()
            for each in devices[1:]:
                await runs(each, 1, image, within=60)
            async with powered(devices[:1]):
                await runs(devices[0], 1, image, within=60)


@pytest.mark.timeout(180)
async def test_a_newer_daemon_in_half_the_floor_speaks_with_the_others(
    ground: Ground, tmp_path: Path
) -> None:
    async with floor_of(ground, tmp_path, devices=3) as floor:
        parcel = floor.fleet.directory / "newer"
        parcel.mkdir()
        environment = {"PYTHONPATH": str(parcel), "PYTHONSAFEPATH": "1"}
        half = [
            floor.fleet.device(
                f"n{number}", settings=PATIENT, environment=environment, sees=(parcel,)
            )
            for number in range(4)
        ]
        floor.devices += half
        async with powered(half):
            image = floor.office.release(1)
            floor.stick().plug_in()
            await floor.all_run(1, image, within=90)

            _newer(parcel)
            for each in half:
                await each.stop()
                await until(lambda each=each: _says(each, "9.0.0"), 60, "is newer")  # type: ignore[misc]
            image = floor.office.release(2)
            floor.stick().plug_in()
            await floor.all_run(2, image, within=90)

            image = floor.office.release(3)
            await on(half[0], "import", str(floor.office.stick(half[0].directory / "stick")))
            await floor.all_run(3, image, within=90)


async def _says(device: Device, version: str) -> bool:
    status = await device.status()
    return status is not None and status["version"] == version


def _newer(parcel: Path) -> None:
    """A daemon of a later time, whose messages say more than ours can know."""
    copy = parcel / "p2pupd"
    shutil.copytree(ROOT / "p2pupd", copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name, before, after in (
        ("__init__.py", '"0.1.0"', '"9.0.0"'),
        ("wire/messages.py", '"v": PROTOCOL_VERSION,', '"v": PROTOCOL_VERSION, "later": [1],'),
        ("discovery/records.py", 'b"v": TXT_VERSION,', 'b"v": TXT_VERSION, b"later": b"1",'),
    ):
        text = (copy / name).read_text("utf-8")
        assert before in text
        (copy / name).write_text(text.replace(before, after), "utf-8")
    assert compile_dir(copy, quiet=1)


@pytest.mark.timeout(120)
async def test_clocks_that_jump_lock_no_device_out(ground: Ground, tmp_path: Path) -> None:
    clock = faults.Clock(tmp_path / "clock")
    async with floor_of(ground, tmp_path, devices=3) as floor:
        jumping = [
            floor.fleet.device(
                f"j{number}", settings=PATIENT, environment=clock.environment, sees=clock.sees
            )
            for number in range(3)
        ]
        floor.devices += jumping
        clock.jump("-20y")
        async with powered(jumping):
            await knows(floor.seed, 6, within=60)
            image = floor.office.release(1)
            floor.stick().plug_in()
            await floor.all_run(1, image, within=60)
            clock.jump("+50y")
            image = floor.office.release(2)
            floor.stick().plug_in()
            await floor.all_run(2, image, within=60)
