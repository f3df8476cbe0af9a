from pathlib import Path

import pytest

from p2pupd.errors import BootControlError
from p2pupd.install.bootloaders.booted import booted_slot

SLOTS = {"A": Path("/dev/mmcblk0p2"), "B": Path("/dev/mmcblk0p3")}


@pytest.fixture
def cmdline(tmp_path: Path) -> Path:
    return tmp_path / "cmdline"


@pytest.mark.parametrize(
    ("line", "slot"),
    [
        ("quiet p2pupd.slot=B ro", "B"),
        ("rauc.slot=A root=/dev/mmcblk0p3", "A"),
        ("rauc.slot=A p2pupd.slot=B", "B"),
        ("p2pupd.slot=other rauc.slot=B", "B"),
        ("root=/dev/mmcblk0p3 rw\n", "B"),
    ],
)
def test_command_line_tells_the_running_slot(cmdline: Path, line: str, slot: str) -> None:
    cmdline.write_text(line)
    assert booted_slot(cmdline, SLOTS) == slot


def test_root_is_compared_through_symbolic_links(cmdline: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").touch()
    (tmp_path / "root-b").symlink_to(tmp_path / "disk")
    cmdline.write_text(f"root={tmp_path / 'disk'}")
    assert booted_slot(cmdline, {"A": tmp_path / "root-a", "B": tmp_path / "root-b"}) == "B"


def test_root_by_partition_label_is_where_udev_puts_it(cmdline: Path) -> None:
    cmdline.write_text("root=PARTLABEL=root-b")
    slots = {"A": Path("/dev/sda2"), "B": Path("/dev/disk/by-partlabel/root-b")}
    assert booted_slot(cmdline, slots) == "B"


@pytest.mark.parametrize("line", ["quiet", "p2pupd.slot=C", "root=/dev/sdb1", "root=ZFS=x", ""])
def test_command_line_that_does_not_tell_is_an_error(cmdline: Path, line: str) -> None:
    cmdline.write_text(line)
    with pytest.raises(BootControlError, match=r"let the bootloader pass p2pupd\.slot="):
        booted_slot(cmdline, SLOTS)


def test_missing_command_line_is_an_error(cmdline: Path) -> None:
    with pytest.raises(BootControlError, match="cannot tell which slot runs"):
        booted_slot(cmdline, SLOTS)
