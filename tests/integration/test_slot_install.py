"""Installing into real block devices, and dying while doing so."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.errors import InstallError
from p2pupd.install.bootloaders.statefile import StateFileBootControl, power_on
from p2pupd.install.slots import SlotsInstaller
from p2pupd.model.device import BootFacts
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Image
from tests.builders import a_pack, a_release
from tests.loop_devices import loop_device
from tests.packing import packed
from tests.support import needs_root

RUNNING = b"the release that runs" * 1000
IMAGE = hashlib.shake_256(b"image").digest(4 << 20) + bytes(2 << 20) + b"end" * 700_000
SIGNED = Image(len(IMAGE), Sha256(hashlib.sha256(IMAGE).hexdigest()))
RELEASE = replace(a_release(), image=SIGNED)
PACKED = replace(a_pack(), image=SIGNED)
DEVICE_SIZE = 16 << 20
REPOSITORY = Path(__file__).parents[2]

KILLED_WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.integration import test_slot_install
from tests.integration.test_slot_install import installer

release, directory, slot_a, slot_b, at = sys.argv[1:]

def heard(done):
    if done >= int(at):
        os.kill(os.getpid(), signal.SIGKILL)

slots = {"A": Path(slot_a), "B": Path(slot_b)}
content = Path(directory) / release
release = getattr(test_slot_install, release)
asyncio.run(installer(Path(directory), slots).write(release, content, heard))
"""


def installer(directory: Path, slots: dict[str, Path]) -> SlotsInstaller:
    """The installer of one device, as after a restart."""
    boot = StateFileBootControl(directory / "boot.json")
    return SlotsInstaller(slots, boot, directory / "slots.json", dirty_limit=1 << 20)


@pytest.fixture(params=["files", pytest.param("block devices", marks=needs_root)])
def slots(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Slot A runs; its content is RUNNING. The image waits in `RELEASE`, its pack in `PACKED`."""
    (tmp_path / "RELEASE").write_bytes(IMAGE)
    (tmp_path / "PACKED").write_bytes(packed(IMAGE).raw)
    with ExitStack() as stack:
        if request.param == "files":
            paths = {name: tmp_path / f"{name}.img" for name in ("A", "B")}
        else:
            paths = {
                name: stack.enter_context(loop_device(tmp_path / f"{name}.disk", DEVICE_SIZE))
                for name in ("A", "B")
            }
        with open(paths["A"], "wb") as slot:
            slot.write(RUNNING)
        yield paths


def starts_with(path: Path, content: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(content)) == content


async def test_update_and_return(tmp_path: Path, slots: dict[str, Path]) -> None:
    device = installer(tmp_path, slots)
    assert await device.write(RELEASE, tmp_path / "RELEASE", lambda _: None) == "B"
    await device.arm("B")
    assert power_on(tmp_path / "boot.json").booted == "B"
    await device.commit("B")
    assert starts_with(slots["B"], IMAGE)
    assert starts_with(slots["A"], RUNNING)
    await device.roll_back("A")
    assert power_on(tmp_path / "boot.json").booted == "A"


@needs_root
async def test_image_larger_than_the_device_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "RELEASE").write_bytes(IMAGE)
    (tmp_path / "A.img").write_bytes(RUNNING)
    with loop_device(tmp_path / "B.disk", 4 << 20) as small:
        device = installer(tmp_path, {"A": tmp_path / "A.img", "B": small})
        assert await device.spare_capacity() == (4 << 20, None)
        with pytest.raises(InstallError, match="holds 4194304"):
            await device.write(RELEASE, tmp_path / "RELEASE", lambda _: None)
        assert starts_with(small, bytes(4 << 20))


@pytest.mark.parametrize("carried", ["RELEASE", "PACKED"])
@pytest.mark.parametrize("at", [1 << 20, 5 << 20, len(IMAGE)])
async def test_killed_while_writing_the_slot_is_never_armed(
    tmp_path: Path, slots: dict[str, Path], at: int, carried: str
) -> None:
    """An older complete image was armed there before; after the kill not even that may boot."""
    device = installer(tmp_path, slots)
    await device.write(RELEASE, tmp_path / "RELEASE", lambda _: None)
    await device.arm("B")
    paths = [str(path) for path in (tmp_path, slots["A"], slots["B"])]
    command = [sys.executable, "-c", KILLED_WRITER, carried, *paths, str(at)]
    killed = subprocess.run(command, cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert await device.boot_facts() == BootFacts("A", "A", None, 0)
    with pytest.raises(InstallError, match="slot B holds no complete image"):
        await device.arm("B")
    with pytest.raises(InstallError, match="no complete image to return to"):
        await device.roll_back("B")
    assert power_on(tmp_path / "boot.json").booted == "A"
    assert starts_with(slots["A"], RUNNING)
    release = PACKED if carried == "PACKED" else RELEASE
    await device.write(release, tmp_path / carried, lambda _: None)
    assert starts_with(slots["B"], IMAGE)
    await device.arm("B")
    assert power_on(tmp_path / "boot.json").booted == "B"
