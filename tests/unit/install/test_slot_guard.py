import os
from pathlib import Path

import pytest

from p2pupd.errors import InstallError
from p2pupd.install.slot_file import write_and_verify
from p2pupd.install.slot_guard import refuse_unless_spare
from tests.loop_devices import loop_device, mounted
from tests.support import needs_root
from tests.unit.install.test_slot_file import job, unpacked


@pytest.fixture
def running(tmp_path: Path) -> Path:
    path = tmp_path / "running"
    path.write_bytes(b"runs")
    return path


def test_a_file_or_a_file_to_be_made_is_a_spare_slot(tmp_path: Path, running: Path) -> None:
    spare = tmp_path / "spare"
    refuse_unless_spare(spare, running)
    spare.touch()
    refuse_unless_spare(spare, running)


def test_running_slot_is_recognised_by_any_name(tmp_path: Path, running: Path) -> None:
    (tmp_path / "symlink").symlink_to(running)
    (tmp_path / "hardlink").hardlink_to(running)
    for name in ("running", "symlink", "hardlink"):
        with pytest.raises(InstallError, match="is the running slot"):
            refuse_unless_spare(tmp_path / name, running)


def test_missing_device_is_not_made_as_a_file(running: Path) -> None:
    with pytest.raises(InstallError, match="there is no device"):
        refuse_unless_spare(Path("/dev/disk-that-is-not-there"), running)


def test_missing_directory_is_named(tmp_path: Path, running: Path) -> None:
    with pytest.raises(InstallError, match="directory of the slot"):
        refuse_unless_spare(tmp_path / "gone" / "spare", running)


def test_path_through_a_file_is_refused(running: Path) -> None:
    with pytest.raises(InstallError, match="cannot look at the slot"):
        refuse_unless_spare(running / "spare", running)


def test_what_is_neither_file_nor_block_device_is_refused(tmp_path: Path, running: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/null")):
        with pytest.raises(InstallError, match="neither a block device nor a regular file"):
            refuse_unless_spare(path, running)


@needs_root
def test_file_that_a_loop_device_uses_is_refused(tmp_path: Path, running: Path) -> None:
    with (
        loop_device(tmp_path / "disk", 1 << 20) as device,
        pytest.raises(InstallError, match=f"bound to {device}"),
    ):
        refuse_unless_spare(tmp_path / "disk", running)


@needs_root
def test_device_that_is_not_in_use_is_a_spare_slot(tmp_path: Path, running: Path) -> None:
    with (
        loop_device(tmp_path / "disk", 1 << 20) as device,
        loop_device(tmp_path / "other", 1 << 20) as other,
    ):
        refuse_unless_spare(device, running)
        refuse_unless_spare(device, other)
        (tmp_path / "by-name").symlink_to(device)
        with pytest.raises(InstallError, match="is the running slot"):
            refuse_unless_spare(tmp_path / "by-name", device)


@needs_root
def test_same_device_under_another_node_is_the_running_slot(tmp_path: Path) -> None:
    with loop_device(tmp_path / "disk", 1 << 20) as device:
        node = tmp_path / "node"
        os.mknod(node, os.stat(device).st_mode, os.stat(device).st_rdev)
        with pytest.raises(InstallError, match="is the running slot"):
            refuse_unless_spare(node, device)


@needs_root
def test_mounted_device_is_refused_and_the_kernel_refuses_it_too(
    tmp_path: Path, running: Path
) -> None:
    point = tmp_path / "mnt"
    with loop_device(tmp_path / "disk", 8 << 20) as device, mounted(device, point):
        with pytest.raises(InstallError, match=f"mounted on {point}"):
            refuse_unless_spare(device, running)
        with pytest.raises(InstallError, match="busy"):
            write_and_verify(device, unpacked(tmp_path), job())
