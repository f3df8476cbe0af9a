"""A stick that is pulled while it is copied: the device says so, and goes on when it is back."""

import asyncio
import shutil
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path

from p2pupd.cli.app import INTERRUPTED
from p2pupd.demo.device import Device
from scenarios.lib.disk import small_disk
from scenarios.lib.fleet import Json, all_reach, events, fleet, on, powered, until
from scenarios.lib.office import Office
from tests.support import needs_root

SIZE = 192 << 20
READ_ON = 4 << 20
"""Bytes that are read before the stick is pulled, at least."""

ROOM = 1 << 20
"""For metadata."""

QUIET: dict[str, Json] = {"discovery": {"mdns": False}}


class Slot(ABC):
    """A USB port: `stick` is what a person holds, `media` what the device is told to watch."""

    def __init__(self, stick: Path, directory: Path) -> None:
        self.stick = stick
        self.point = directory / "port"

    @property
    @abstractmethod
    def media(self) -> Json: ...

    @abstractmethod
    def plug_in(self) -> None: ...

    @abstractmethod
    def pull(self) -> None: ...


class Folder(Slot):
    """A watched directory, where the stick appears by a rename."""

    @property
    def media(self) -> Json:
        return {"directories": [str(self.point)], "poll": 0.02}

    def plug_in(self) -> None:
        self.stick.rename(self.point)

    def pull(self) -> None:
        self.point.rename(self.stick)


class Port(Slot):
    """A mount point: the stick is a file system of its own, mounted once more."""

    @property
    def media(self) -> Json:
        return {"mount_points": [str(self.point)]}

    def plug_in(self) -> None:
        self.point.mkdir(exist_ok=True)
        _run("mount", "--bind", str(self.stick), str(self.point))

    def pull(self) -> None:
        _run("umount", "-l", str(self.point))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


async def pulled_and_back(device: Device, slot: Slot) -> int:
    """Plug in, pull in the middle of copying, plug in again; bytes that were copied by then.

    What was copied is spoiled on the stick before it comes back, so that only a device that does
    not read it again can end with the right bytes.
    """
    slot.plug_in()
    while await _done(device) <= READ_ON:
        await asyncio.sleep(0)
    slot.pull()
    await until(lambda: _is(device, "interrupted"), 10, "interrupted")
    await until(lambda: _tells(device, "stick.incomplete"), 10, "what was left on the stick")
    found = {each["event"]: each for each in await events(device)}
    copied = int(found["source.gone"]["done"])
    assert READ_ON < copied < SIZE
    assert await _done(device) >= copied
    assert "removed" in found["stick.incomplete"]["lost"]
    spoil(slot.stick, copied)
    slot.plug_in()
    await until(lambda: _is(device, "complete"), 40, "complete")
    last = next(each for each in await events(device) if each["event"] == "transfer.complete")
    assert (int(last["usb"]), int(last["lan"])) == (SIZE, 0)
    return copied


def spoil(stick: Path, length: int) -> None:
    target = next(stick.glob("p2pupd/targets/*/*/*.img"))
    with target.open("r+b") as file:
        file.write(bytes(length))


async def _transfer(device: Device) -> Json:
    status = await device.status() or {"transfers": []}
    return next(iter(status["transfers"]), {"state": "", "done": 0})


async def _done(device: Device) -> int:
    return int((await _transfer(device))["done"])


async def _is(device: Device, state: str) -> bool:
    return bool((await _transfer(device))["state"] == state)


async def _tells(device: Device, event: str) -> bool:
    return any(each["event"] == event for each in await events(device))


def stocked(stick: Path, office: Office) -> bytes:
    """Move a release to a stick; its image."""
    image = office.release(1)
    shutil.move(office.directory, stick / "p2pupd")
    return image


async def test_a_stick_that_is_pulled_is_waited_for(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    office = Office(tmp_path / "office", SIZE)
    image = stocked(stick, office)
    async with fleet(None, office.anchor) as floor:
        slot = Folder(stick, tmp_path)
        device = floor.device("device", settings=QUIET | {"media": slot.media})
        async with powered([device]):
            await until(device.status, 15, "daemon answers")
            await pulled_and_back(device, slot)
            await all_reach([device], "confirmed", within=40)
        assert (device.directory / "slot_b").read_bytes() == image


@needs_root
async def test_a_seed_goes_on_when_the_stick_is_mounted_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "stick", SIZE + ROOM) as stick:
        office = Office(tmp_path / "office", SIZE)
        image = stocked(stick, office)
        async with fleet(None, office.anchor) as floor:
            slot = Port(stick, tmp_path)
            seed = floor.device(
                "seed", role="seed", installs=False, settings=QUIET | {"media": slot.media}
            )
            async with powered([seed]):
                await until(seed.status, 15, "daemon answers")
                try:
                    await pulled_and_back(seed, slot)
                finally:
                    subprocess.run(("umount", "-l", slot.point), check=False)
            stored = next((seed.directory / "store").glob("*/object.json")).parent
            assert image in (each.read_bytes() for each in stored.iterdir())


async def test_an_import_that_is_interrupted_stops_and_goes_on_when_typed_again(
    tmp_path: Path,
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    office = Office(tmp_path / "office", SIZE)
    stocked(stick, office)
    async with fleet(None, office.anchor) as floor:
        seed = floor.device("seed", role="seed", installs=False, settings=QUIET)
        async with powered([seed]):
            await until(seed.status, 15, "daemon answers")
            typed = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "p2pupd", "import", str(stick)),
                *("--config", str(seed.config_file)),
                stderr=asyncio.subprocess.DEVNULL,
            )
            while await _done(seed) <= READ_ON:
                await asyncio.sleep(0)
            typed.send_signal(signal.SIGINT)
            assert await typed.wait() == INTERRUPTED
            await until(lambda: _is(seed, "interrupted"), 10, "interrupted")
            await on(seed, "import", str(stick))
            assert await seed.received() == {"lan": 0, "usb": SIZE}
