from dataclasses import fields, replace
from pathlib import Path

import pytest

from p2pupd.errors import ConfigError
from p2pupd.install.settings import InstallSettings
from p2pupd.model.release import InstallerKind
from p2pupd.model.setting import CHECK

BOTH = InstallSettings(slot_a=Path("/dev/a"), slot_b=Path("/dev/b"))


def test_slots_are_known_by_name() -> None:
    assert BOTH.slots() == {"A": Path("/dev/a"), "B": Path("/dev/b")}


def test_all_mistakes_with_slots_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        replace(InstallSettings(), slot_b=Path("b.img")).slots()
    assert "install.slot_a is not set" in caught.value.message
    assert "install.slot_b (b.img) is not an absolute path" in caught.value.message


def test_one_path_cannot_be_both_slots() -> None:
    with pytest.raises(ConfigError, match="slot_b is /dev/a, and so is slot_a"):
        replace(BOTH, slot_b=Path("/dev/a")).slots()


def test_only_the_installer_that_is_built_can_be_chosen() -> None:
    check = {each.name: each.metadata[CHECK] for each in fields(InstallSettings)}["installer"]
    assert check(InstallerKind.SLOTS) is None
    assert "is not an installer of this version" in check(InstallerKind.RAUC)
