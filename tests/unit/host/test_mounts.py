"""The mount table: its lines, its escapes, its changes."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from p2pupd.errors import HostError
from p2pupd.host import mounts
from p2pupd.host.mounts import Mount, is_removable, parse, watch
from tests.support import needs_root

STICK = (
    b"36 35 8:17 / /media/my\\040stick\\134\\011 rw,noatime shared:1 master:2"
    b" - vfat /dev/sdb1 ro,utf8\n"
)


def test_a_line_is_read_with_its_escapes_and_optional_fields() -> None:
    (mount,) = parse(STICK)
    assert mount == Mount(
        id=36,
        parent=35,
        device="8:17",
        root="/",
        point=Path("/media/my stick\\\t"),
        options=("rw", "noatime"),
        kind="vfat",
        source="/dev/sdb1",
        super_options=("ro", "utf8"),
    )
    assert mount.read_only


def test_a_line_without_optional_fields_and_with_an_empty_source_is_read() -> None:
    (mount,) = parse(b"1 0 0:5 / /mnt rw - tmpfs  rw")
    assert (mount.source, mount.read_only) == ("", False)


def test_names_that_are_no_utf8_survive() -> None:
    (mount,) = parse(b"1 0 0:5 / /mnt/\xff rw - tmpfs x rw")
    assert os.fsencode(mount.point) == b"/mnt/\xff"


@pytest.mark.parametrize(
    "line", [b"rubbish", b"a b 0:5 / /mnt rw - tmpfs x rw", b"1 0 0:5 / /mnt rw tmpfs x rw"]
)
def test_malformed_lines_are_left_out(line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert len(parse(line + b"\n" + STICK)) == 1
    assert "mounts.malformed" in caplog.text


def test_our_own_mount_table_makes_sense() -> None:
    assert Path("/proc") in {
        mount.point for mount in parse(Path("/proc/self/mountinfo").read_bytes())
    }


async def test_a_table_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="mount table"):
        await anext(watch(tmp_path / "none"))


@pytest.fixture
def point(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "a stick"
    path.mkdir()
    yield path
    subprocess.run(["umount", "-l", path], check=False, capture_output=True)


@needs_root
async def test_mounting_and_unmounting_is_noticed(point: Path) -> None:
    sets = watch()
    assert point not in {mount.point for mount in await anext(sets)}
    async with asyncio.timeout(10):
        subprocess.run(["mount", "-t", "tmpfs", "stick", point], check=True)
        while not (found := [each for each in await anext(sets) if each.point == point]):
            continue
        assert found[0].kind == "tmpfs"
        subprocess.run(["umount", point], check=True)
        while point in {mount.point for mount in await anext(sets)}:
            continue
    await sets.aclose()  # type: ignore[attr-defined]


@needs_root
async def test_waiting_for_a_change_costs_nothing() -> None:
    sets = watch()
    await anext(sets)
    before = sum(os.times()[:2])
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            while await anext(sets):
                continue
    assert sum(os.times()[:2]) - before < 0.25


def sysfs(root: Path, removable: str, *parts: str) -> Path:
    """A disk 8:16 with a partition 8:17, as the kernel shows them."""
    disk = root.joinpath("devices", *parts, "block", "sdb")
    (disk / "sdb1").mkdir(parents=True)
    (disk / "removable").write_text(removable)
    (disk / "sdb1" / "partition").write_text("1\n")
    (root / "dev" / "block").mkdir(parents=True)
    (root / "dev" / "block" / "8:16").symlink_to(disk)
    (root / "dev" / "block" / "8:17").symlink_to(disk / "sdb1")
    return root


def test_a_card_and_its_partition_are_removable(tmp_path: Path) -> None:
    sys = sysfs(tmp_path, "1\n", "pci0000:00")
    assert is_removable("8:16", sys)
    assert is_removable("8:17", sys)


def test_a_disk_on_usb_is_removable_whatever_it_says(tmp_path: Path) -> None:
    assert is_removable("8:17", sysfs(tmp_path, "0\n", "pci0000:00", "usb1", "1-2"))


def test_a_built_in_disk_is_not(tmp_path: Path) -> None:
    sys = sysfs(tmp_path, "0\n", "pci0000:00")
    assert not is_removable("8:17", sys)
    assert not is_removable("0:42", sys)
    (sys / "devices" / "pci0000:00" / "block" / "sdb" / "removable").unlink()
    assert not is_removable("8:17", sys)


def test_an_endless_table_is_refused_and_so_is_a_directory() -> None:
    for path, what in {"/dev/zero": "larger than", "/": "cannot read the mount table"}.items():
        fd = os.open(path, os.O_RDONLY)
        with pytest.raises(HostError, match=what):
            mounts._read(fd, Path(path))
        os.close(fd)
