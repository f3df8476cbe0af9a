"""Power supplies as the kernel shows them, and the restart command."""

import asyncio
import os
from pathlib import Path

import pytest

from p2pupd.errors import HostError
from p2pupd.host.power import power_ok, restart


def supply(root: Path, name: str, **files: str) -> None:
    (root / name).mkdir(parents=True)
    for file, content in files.items():
        (root / name / file).write_text(f"{content}\n")


def test_a_device_without_power_supplies_is_on_mains(tmp_path: Path) -> None:
    assert power_ok(30, tmp_path / "none")
    assert power_ok(30, tmp_path)


def test_on_mains_the_battery_does_not_matter(tmp_path: Path) -> None:
    supply(tmp_path, "AC", type="Mains", online="1")
    supply(tmp_path, "BAT0", type="Battery", capacity="3")
    assert power_ok(30, tmp_path)


@pytest.mark.parametrize(("capacity", "enough"), [("29", False), ("30", True), ("many", False)])
def test_off_mains_the_fullest_battery_decides(tmp_path: Path, capacity: str, enough: bool) -> None:
    supply(tmp_path, "AC", type="Mains", online="0")
    supply(tmp_path, "BAT0", type="Battery", capacity=capacity)
    supply(tmp_path, "BAT1", type="Battery")
    assert power_ok(30, tmp_path) is enough


def test_the_battery_of_a_mouse_does_not_count(tmp_path: Path) -> None:
    supply(tmp_path, "hid", type="Battery", scope="Device", capacity="1")
    assert power_ok(30, tmp_path)


async def test_the_restart_command_gets_our_process_id(tmp_path: Path) -> None:
    said = tmp_path / "said"
    loop = asyncio.get_running_loop()
    began = loop.time()
    await restart(["sh", "-c", f"echo {{pid}} > {said}"], timeout=0.3)
    assert loop.time() - began >= 0.29
    assert said.read_text().strip() == str(os.getpid())


async def test_a_restart_command_that_fails_says_why() -> None:
    with pytest.raises(HostError, match=r"could not be restarted.*no way") as caught:
        await restart(["sh", "-c", "echo no way >&2; exit 1"], timeout=20)
    assert caught.value.reason == "reboot"
