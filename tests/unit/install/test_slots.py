"""The A/B installer on slots that are files, with the state file as its bootloader."""

import asyncio
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.errors import BootControlError, InstallError, SpaceError
from p2pupd.install.bootloaders.statefile import StateFileBootControl, power_on
from p2pupd.install.image import CHUNK
from p2pupd.install.slots import SlotsInstaller
from p2pupd.model.device import BootFacts
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Image, Release
from tests.builders import a_release

RUNNING = b"the release that runs"
IMAGE = bytes(range(256)) * 10_000 + b"tail"


class Device:
    """Slot A runs; `installer` is a new one at each use, as after a restart."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.slot_a, self.slot_b = directory / "a.img", directory / "b.img"
        self.slot_a.write_bytes(RUNNING)
        self.heard: list[int] = []

    @property
    def installer(self) -> SlotsInstaller:
        return SlotsInstaller(
            {"A": self.slot_a, "B": self.slot_b},
            StateFileBootControl(self.directory / "boot.json"),
            self.directory / "slots.json",
            dirty_limit=1 << 20,
        )

    def power_on(self) -> str:
        return power_on(self.directory / "boot.json").booted

    def content(self, image: bytes = IMAGE) -> Path:
        path = self.directory / "content"
        path.write_bytes(image)
        return path

    async def write(self, image: bytes = IMAGE, release: Release | None = None) -> str:
        release = release or release_of(image)
        return await self.installer.write(release, self.content(image), self.heard.append)


def release_of(image: bytes) -> Release:
    digest = Sha256(hashlib.sha256(image).hexdigest())
    return replace(a_release(), image=Image(len(image), digest))


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


async def test_image_goes_into_the_spare_slot_and_is_tried_and_kept(device: Device) -> None:
    assert await device.write() == "B"
    assert device.slot_b.read_bytes() == IMAGE
    assert device.slot_a.read_bytes() == RUNNING
    await device.installer.arm("B")
    assert device.power_on() == "B"
    await device.installer.commit("B")
    assert await device.installer.boot_facts() == BootFacts("B", "B", None, 0)


async def test_progress_grows_to_the_length_of_the_image(device: Device) -> None:
    await device.write()
    assert device.heard == sorted(device.heard)
    assert device.heard[-1] == len(IMAGE)
    assert len(device.heard) == 3


async def test_longer_content_of_the_slot_is_cut_to_the_image(device: Device) -> None:
    device.slot_b.write_bytes(bytes(len(IMAGE) + 4096))
    await device.write()
    assert device.slot_b.read_bytes() == IMAGE


async def test_the_next_release_goes_into_the_other_slot(device: Device) -> None:
    await device.write()
    await device.installer.arm("B")
    device.power_on()
    await device.installer.commit("B")
    assert await device.write(b"third") == "A"
    assert device.slot_a.read_bytes() == b"third"
    assert device.slot_b.read_bytes() == IMAGE


async def test_slot_that_was_never_written_cannot_be_armed(device: Device) -> None:
    with pytest.raises(InstallError, match="slot B holds no complete image"):
        await device.installer.arm("B")


async def test_running_slot_cannot_be_armed(device: Device) -> None:
    with pytest.raises(InstallError, match="slot A is running"):
        await device.installer.arm("A")


async def test_only_the_running_slot_can_be_committed(device: Device) -> None:
    await device.write()
    with pytest.raises(InstallError, match="only what runs can be kept"):
        await device.installer.commit("B")
    assert (await device.installer.boot_facts()).primary == "A"


@pytest.mark.parametrize(
    ("image", "signed", "says"),
    [
        (IMAGE, b"x" * len(IMAGE), "returns other bytes"),
        (IMAGE[:-1], IMAGE, "ends after"),
        (IMAGE + b"!", IMAGE, "longer than"),
        (b"", IMAGE, "ends after 0"),
    ],
)
async def test_wrong_content_leaves_a_slot_that_holds_nothing(
    device: Device, image: bytes, signed: bytes, says: str
) -> None:
    await device.write()
    await device.installer.arm("B")
    with pytest.raises(InstallError, match=says):
        await device.write(image, release_of(signed))
    with pytest.raises(InstallError, match="no complete image"):
        await device.installer.arm("B")
    with pytest.raises(InstallError, match="no complete image to return to"):
        await device.installer.roll_back("B")
    assert device.power_on() == "A"
    assert device.slot_a.read_bytes() == RUNNING


async def test_writing_disarms_before_the_first_byte(device: Device) -> None:
    await device.write()
    await device.installer.arm("B")
    with pytest.raises(InstallError):
        await device.installer.write(release_of(IMAGE), device.directory / "gone", print)
    assert await device.installer.boot_facts() == BootFacts("A", "A", None, 0)


async def test_missing_content_is_named(device: Device) -> None:
    with pytest.raises(InstallError, match=r"No such file.*gone"):
        await device.installer.write(release_of(IMAGE), device.directory / "gone", print)


async def test_running_trial_is_not_written_over_its_way_back(device: Device) -> None:
    await device.write()
    await device.installer.arm("B")
    device.power_on()
    with pytest.raises(InstallError, match="slot B is running on trial"):
        await device.write(b"third")
    assert device.slot_a.read_bytes() == RUNNING
    await device.installer.roll_back("A")
    assert device.power_on() == "A"


async def test_committed_release_can_be_left_for_the_factory_one(device: Device) -> None:
    await device.write()
    await device.installer.arm("B")
    device.power_on()
    await device.installer.commit("B")
    await device.installer.roll_back("A")
    assert device.power_on() == "A"
    assert await device.installer.boot_facts() == BootFacts("A", "A", None, 0)


async def test_image_that_does_not_fit_on_the_disk_is_refused_first(device: Device) -> None:
    huge = replace(release_of(IMAGE), image=Image(1 << 60, Sha256("0" * 64)))
    with pytest.raises(SpaceError, match="free"):
        await device.write(IMAGE, huge)
    assert not device.slot_b.exists()


async def test_spare_capacity_of_a_file_counts_what_it_already_occupies(device: Device) -> None:
    size, free = await device.installer.spare_capacity()
    assert size is None
    assert free is not None
    assert free > 1 << 20


async def test_slots_that_are_the_same_file_are_refused(device: Device) -> None:
    device.slot_b.hardlink_to(device.slot_a)
    with pytest.raises(InstallError, match="is the running slot"):
        await device.write()
    assert device.slot_a.read_bytes() == RUNNING


async def test_damaged_ledger_is_taken_as_holding_nothing(device: Device) -> None:
    await device.write()
    (device.directory / "slots.json").write_text("[broken")
    with pytest.raises(InstallError, match="no complete image"):
        await device.installer.arm("B")
    await device.installer.roll_back("A")
    await device.write()
    await device.installer.arm("B")


async def test_damaged_ledger_does_not_bar_a_trial_from_going_back(device: Device) -> None:
    await device.write()
    await device.installer.arm("B")
    assert device.power_on() == "B"
    (device.directory / "slots.json").write_text("[broken")
    await device.installer.roll_back("A")
    assert device.power_on() == "A"


async def test_ledger_says_what_a_slot_holds(device: Device) -> None:
    await device.write()
    digest = hashlib.sha256(IMAGE).hexdigest()
    ledger = json.loads((device.directory / "slots.json").read_text())
    assert ledger == {"B": {"length": len(IMAGE), "sha256": digest}}


async def test_boot_environment_that_cannot_be_read_stops_the_write(device: Device) -> None:
    (device.directory / "boot.json").write_text("{}")
    with pytest.raises(BootControlError, match="damaged"):
        await device.write()
    assert not device.slot_b.exists()


@pytest.mark.parametrize("times", [1, 2])
async def test_cancelled_write_has_ended_when_it_says_so(device: Device, times: int) -> None:
    """Also when the one who cancels is impatient. The content is a pipe that the test holds."""
    reached = asyncio.Event()
    pipe = device.directory / "pipe"
    os.mkfifo(pipe)
    source = os.open(pipe, os.O_RDWR)
    write = device.installer.write(release_of(IMAGE), pipe, lambda _: reached.set())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(write)
        await asyncio.to_thread(os.write, source, IMAGE[:CHUNK])
        await reached.wait()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
        os.close(source)
    assert task.cancelled()
    assert device.slot_b.stat().st_size == CHUNK
    with pytest.raises(InstallError, match="no complete image"):
        await device.installer.arm("B")
