"""Durable writes, and the errors of the system put into our tree."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from p2pupd.errors import FetchError, HostError, SourceGone, SpaceError
from p2pupd.host.files import (
    free_bytes,
    hold,
    host_error,
    make_directory,
    read_bounded,
    set_aside,
    source_error,
    write_durably,
)


def test_a_written_file_is_there_with_its_mode_and_nothing_beside_it(tmp_path: Path) -> None:
    write_durably(tmp_path / "key", b"one", 0o600)
    write_durably(tmp_path / "key", b"two", 0o600)
    assert (tmp_path / "key").read_bytes() == b"two"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_a_torn_predecessor_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".key.new").write_bytes(b"torn")
    write_durably(tmp_path / "key", b"whole")
    assert os.listdir(tmp_path) == ["key"]


def test_threads_that_write_the_same_file_do_not_harm_each_other(tmp_path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(len(contents)) as pool:
        for _ in range(10):
            list(pool.map(partial(write_durably, tmp_path / "key"), contents))
    assert (tmp_path / "key").read_bytes() in contents
    assert os.listdir(tmp_path) == ["key"]


def test_writing_into_a_missing_directory_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot write .*/none/key: No such file"):
        write_durably(tmp_path / "none" / "key", b"x")


def test_a_failed_replacement_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    (tmp_path / "key" / "inside").mkdir(parents=True)
    with pytest.raises(HostError):
        write_durably(tmp_path / "key", b"x")
    assert os.listdir(tmp_path) == ["key"]


def test_directories_are_made_with_their_parents(tmp_path: Path) -> None:
    made = make_directory(tmp_path / "a" / "b", 0o700)
    assert made.is_dir()
    assert made.stat().st_mode & 0o777 == 0o700
    assert make_directory(made) == made


def test_a_file_in_the_way_of_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(HostError, match="make the directory"):
        make_directory(tmp_path / "a" / "b")


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bounded(tmp_path / "file", 5) == b"12345"
    with pytest.raises(HostError, match="larger than 4 bytes"):
        read_bounded(tmp_path / "file", 4)
    with pytest.raises(HostError, match="cannot read"):
        read_bounded(tmp_path / "none", 4)


def test_setting_aside_finds_a_free_name(tmp_path: Path) -> None:
    for expected in ("file.damaged-1", "file.damaged-2"):
        (tmp_path / "file").write_bytes(b"")
        assert set_aside(tmp_path / "file", "damaged") == tmp_path / expected
    with pytest.raises(HostError, match="aside"):
        set_aside(tmp_path / "file", "damaged")


def test_free_space_is_what_statvfs_says(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
    with pytest.raises(HostError, match="how much room"):
        free_bytes(tmp_path / "none")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_space_error(number: int) -> None:
    assert isinstance(host_error(OSError(number, "full"), "write x"), SpaceError)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENODEV, errno.ESTALE, errno.ENOMEDIUM])
def test_a_pulled_medium_is_source_gone(number: int) -> None:
    assert isinstance(source_error(OSError(number, "gone"), "read x"), SourceGone)


def test_any_other_trouble_with_a_source_is_a_fetch_error() -> None:
    error = source_error(OSError(errno.EACCES, "Permission denied"), "read x")
    assert type(error) is FetchError
    assert str(error) == "cannot read x: Permission denied"


def test_a_lock_is_held_by_one_until_it_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    held = hold(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(HostError, match="another p2pupd daemon") as refused:
        hold(path)
    assert refused.value.reason == "already-running"
    os.close(held)
    os.close(hold(path))


def test_a_lock_is_never_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="cannot open"):
        hold(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()
