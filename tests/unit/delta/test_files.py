"""Files are read where they are told to, and nothing else is opened."""

import os
from pathlib import Path

import pytest

from p2pupd.delta.files import opened
from p2pupd.delta.matching import ImageSource
from p2pupd.errors import HostError
from tests.loop_devices import loop_device
from tests.packing import PIECE, noise, packed, transferred
from tests.support import needs_root, needs_tool


def test_bytes_are_read_from_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with opened(path) as file:
        assert file.size == 10
        assert file.read_at(3, 4) == b"3456"
        assert file.read_at(8, 4) == b"89"
        assert file.read_at(10, 4) == b""


@pytest.mark.parametrize("what", ["nothing", "directory", "fifo"])
def test_anything_else_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "file"
    if what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    with pytest.raises(HostError, match=str(path)), opened(path):
        pytest.fail("it was opened")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with opened(path) as file:
        pass
    with pytest.raises(HostError, match="cannot read"):
        file.read_at(0, 1)


@needs_root
@needs_tool("losetup")
def test_the_slot_may_be_a_block_device_that_is_larger_than_its_image(tmp_path: Path) -> None:
    image = noise(1 << 20)
    (tmp_path / "backing").write_bytes(image)
    new = packed(image)
    with loop_device(tmp_path / "backing", 2 << 20) as device, opened(device) as slot:
        assert slot.size == 2 << 20
        sources = [ImageSource(slot, len(image))]
        assert transferred(new, sources) <= new.header.length + PIECE
