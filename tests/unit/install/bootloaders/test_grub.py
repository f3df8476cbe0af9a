import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.errors import BootControlError
from p2pupd.install.settings import BootloaderKind
from tests.contract.boot_rigs import BootRig, make_rig
from tests.support import needs_tool

pytestmark = needs_tool("grub-editenv")


@pytest.fixture
def rig(tmp_path: Path) -> BootRig:
    return make_rig(BootloaderKind.GRUB, tmp_path)


async def test_missing_block_is_not_made_quietly(rig: BootRig) -> None:
    rig.environment.unlink()
    with pytest.raises(BootControlError, match=r"there is no GRUB environment block.* create"):
        await rig.control.read()
    assert not rig.environment.exists()


async def test_block_keeps_its_place_on_the_disk(rig: BootRig) -> None:
    """GRUB writes the sectors that it knows: the file must not be exchanged for another."""
    before = rig.environment.stat().st_ino
    await rig.control.arm("B")
    assert rig.environment.stat().st_ino == before
    assert rig.environment.stat().st_size == 1024


async def test_variables_of_others_are_kept(rig: BootRig) -> None:
    subprocess.run(["grub-editenv", rig.environment, "set", "saved_entry=rescue"], check=True)
    await rig.control.arm("B")
    listed = subprocess.run(
        ["grub-editenv", rig.environment, "list"], check=True, capture_output=True, text=True
    )
    assert "saved_entry=rescue" in listed.stdout.splitlines()


async def test_block_of_another_size_is_refused(rig: BootRig) -> None:
    with rig.environment.open("ab") as block:
        block.write(b"#" * 1024)
    with pytest.raises(BootControlError, match="not an environment block of 1024 bytes"):
        await rig.control.arm("B")


async def test_block_that_vanishes_is_not_made_anew(rig: BootRig, tmp_path: Path) -> None:
    """Its file system went away between two steps; the tool here takes it along."""
    remove = tmp_path / "remove"
    remove.write_text(
        f'#!/bin/sh\ntest "$2" != set || rm "{rig.environment}"\nexec grub-editenv "$@"\n'
    )
    remove.chmod(0o755)
    rig.settings = replace(rig.settings, grub_editenv=str(remove))
    with pytest.raises(BootControlError, match=r"cannot write .*grubenv"):
        await rig.control.arm("B")
    assert not os.path.exists(rig.environment)
