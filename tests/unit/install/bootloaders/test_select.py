from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.errors import ConfigError
from p2pupd.install.bootloaders.select import boot_control
from p2pupd.install.pair import SlotName
from p2pupd.install.settings import InstallSettings

SETTINGS = InstallSettings(slot_a=Path("/dev/a"), slot_b=Path("/dev/b"))


async def test_state_file_is_in_the_state_directory_unless_set(tmp_path: Path) -> None:
    await boot_control(SETTINGS, tmp_path).read()
    assert (tmp_path / "boot.json").exists()
    elsewhere = replace(SETTINGS, statefile=tmp_path / "elsewhere", initial_slot=SlotName.B)
    facts = await boot_control(elsewhere, tmp_path).read()
    assert (tmp_path / "elsewhere").exists()
    assert facts.booted == "B"


def test_device_without_slots_has_no_boot_control(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"install\.slot_a"):
        boot_control(InstallSettings(), tmp_path)
