"""Staying beneath a directory that somebody else filled."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pupd.errors import UnsafeMedia
from p2pupd.host import beneath


def test_a_regular_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x")
    with beneath.opened(tmp_path) as top, beneath.descended(top, ("a", "b")) as last:
        fd = beneath.open_file(last, "file")
    with open(fd, "rb") as file:
        assert file.read() == b"x"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with beneath.opened(tmp_path) as top:
        for use in (beneath.open_file, beneath.enter):
            with pytest.raises(UnsafeMedia, match="not the name"):
                use(top, name)
        with pytest.raises(UnsafeMedia):
            beneath.write_file(top, name, [])


def test_what_is_not_a_regular_file_is_named_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "directory").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    with beneath.opened(tmp_path) as top:
        for name, kind in {
            "fifo": "a FIFO",
            "link": "a symbolic link",
            "directory": "a directory",
            "socket": "a socket",
        }.items():
            with pytest.raises(UnsafeMedia, match=f"{name} is {kind}"):
                beneath.open_file(top, name)


def test_a_link_to_a_directory_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with beneath.opened(tmp_path) as top:
        for create in (False, True):
            with (
                pytest.raises(UnsafeMedia, match="symbolic link"),
                beneath.entered(top, "link", create=create),
            ):
                pass


def test_missing_directories_are_made_when_asked(tmp_path: Path) -> None:
    with beneath.opened(tmp_path) as top:
        with pytest.raises(FileNotFoundError):
            beneath.enter(top, "new")
        with beneath.descended(top, ("new", "deep"), create=True):
            assert (tmp_path / "new" / "deep").is_dir()


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / ".file.new").write_bytes(b"torn")
    with beneath.opened(tmp_path) as top:
        beneath.write_file(top, "file", [b"one ", b"two"])
    assert (tmp_path / "file").read_bytes() == b"one two"
    assert os.listdir(tmp_path) == ["file"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"new"
        raise OSError(errno.EIO, "pulled")

    (tmp_path / "file").write_bytes(b"old")
    with beneath.opened(tmp_path) as top, pytest.raises(OSError, match="pulled"):
        beneath.write_file(top, "file", chunks())
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_in_the_way_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"safe")
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "file").symlink_to(tmp_path / "outside")
    (tmp_path / "stick" / ".file.new").symlink_to(tmp_path / "outside")
    with beneath.opened(tmp_path / "stick") as top:
        beneath.write_file(top, "file", [b"new"])
    assert (tmp_path / "outside").read_bytes() == b"safe"
    assert (tmp_path / "stick" / "file").read_bytes() == b"new"


def test_directories_that_cannot_be_synced_are_fine_and_other_trouble_is_not() -> None:
    read_end, write_end = os.pipe()
    beneath._sync_directory(read_end)
    os.close(read_end)
    os.close(write_end)
    with pytest.raises(OSError, match="Bad file descriptor"):
        beneath._sync_directory(read_end)


def test_every_kind_has_a_name() -> None:
    assert beneath.kind_of(0o060000) == "a block device"
    assert beneath.kind_of(0) == "something else"
