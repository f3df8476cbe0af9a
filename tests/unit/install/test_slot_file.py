import hashlib
from pathlib import Path
from threading import Event

import pytest

from p2pupd.errors import InstallError
from p2pupd.install.image import CHUNK, Chunks, raw
from p2pupd.install.slot_file import (
    Capacity,
    WriteJob,
    capacity,
    refuse_too_large,
    write_and_verify,
)
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Image
from tests.loop_devices import loop_device
from tests.support import needs_root

IMAGE = bytes(range(256)) * 8192 + b"tail"


def job(
    image: bytes = IMAGE, stop: Event | None = None, heard: list[int] | None = None
) -> WriteJob:
    return WriteJob(
        length=len(image),
        sha256=hashlib.sha256(image).hexdigest(),
        dirty_limit=1 << 20,
        progress=print if heard is None else heard.append,
        stop=stop or Event(),
    )


def content(directory: Path, image: bytes = IMAGE) -> Path:
    path = directory / "content"
    path.write_bytes(image)
    return path


def unpacked(directory: Path, image: bytes = IMAGE) -> Chunks:
    """A raw image; only packs look at what is signed."""
    return raw(content(directory, image), Image(len(image), Sha256("0" * 64)))


def test_raw_content_comes_in_whole_chunks(tmp_path: Path) -> None:
    sizes = [len(chunk) for chunk in unpacked(tmp_path) if isinstance(chunk, memoryview)]
    assert sizes == [CHUNK, CHUNK, len(IMAGE) - 2 * CHUNK]


def test_missing_slot_file_has_the_room_of_its_disk(tmp_path: Path) -> None:
    room = capacity(tmp_path / "slot")
    assert room.size is None
    assert room.free


def test_slot_in_a_missing_directory_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="cannot measure the slot"):
        capacity(tmp_path / "gone" / "slot")


def test_stop_ends_the_job_before_the_next_chunk(tmp_path: Path) -> None:
    stop, heard = Event(), []

    def first_only(done: int) -> None:
        heard.append(done)
        stop.set()

    stopped = WriteJob(len(IMAGE), "0" * 64, 1 << 20, first_only, stop)
    with pytest.raises(InstallError, match="stopped"):
        write_and_verify(tmp_path / "slot", unpacked(tmp_path), stopped)
    assert heard == [CHUNK]


def test_stop_ends_the_reading_back(tmp_path: Path) -> None:
    stop = Event()
    last = WriteJob(4, hashlib.sha256(b"tail").hexdigest(), 1, lambda _: stop.set(), stop)
    with pytest.raises(InstallError, match="stopped"):
        write_and_verify(tmp_path / "slot", unpacked(tmp_path, b"tail"), last)


def test_slot_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=f"cannot write the slot {tmp_path}"):
        write_and_verify(tmp_path, unpacked(tmp_path), job())


@needs_root
def test_device_is_written_and_keeps_what_is_behind_the_image(tmp_path: Path) -> None:
    size = 4 << 20
    with loop_device(tmp_path / "disk", size) as device:
        device.write_bytes(b"\xff" * size)
        assert capacity(device) == Capacity(size, None)
        refuse_too_large(device, size)
        heard: list[int] = []
        write_and_verify(device, unpacked(tmp_path), job(heard=heard))
        assert heard[-1] == len(IMAGE)
        assert device.read_bytes() == IMAGE + b"\xff" * (size - len(IMAGE))


@needs_root
def test_image_larger_than_the_device_is_refused(tmp_path: Path) -> None:
    with (
        loop_device(tmp_path / "disk", 1 << 20) as device,
        pytest.raises(InstallError, match="holds 1048576"),
    ):
        refuse_too_large(device, (1 << 20) + 1)
