"""Cuts follow the content, whatever the window, the place or the length."""

from dataclasses import dataclass

import pytest

from p2pupd.delta.cutting import AVERAGE, LARGE, WINDOW, average_for, cut, cutting_for
from p2pupd.delta.limits import MOST_AVERAGE, SPREAD, Cutting
from tests.packing import Bytes, noise


@dataclass
class Shrinking(Bytes):
    """Claims to be longer than it is."""

    @property
    def size(self) -> int:
        return len(self.content) + 10_000


def test_chunks_are_the_whole_in_order() -> None:
    content = noise(2 * WINDOW + 12_345)
    at = 0
    for offset, plain in cut(Bytes(content), Cutting.CONTENT, AVERAGE):
        assert offset == at
        assert plain == content[at : at + len(plain)]
        assert len(plain) <= AVERAGE * SPREAD
        at += len(plain)
    assert at == len(content)


def test_what_moved_is_cut_alike() -> None:
    content = noise(1 << 20)
    before = {bytes(plain) for _, plain in cut(Bytes(content), Cutting.CONTENT, AVERAGE)}
    after = {
        bytes(plain) for _, plain in cut(Bytes(b"in front" + content), Cutting.CONTENT, AVERAGE)
    }
    assert len(after - before) <= 3


def test_windows_leave_no_mark_on_the_cuts() -> None:
    content = noise(WINDOW + 300_000)
    whole = [bytes(plain) for _, plain in cut(Bytes(content), Cutting.CONTENT, AVERAGE)]
    tail = [
        bytes(plain)
        for _, plain in cut(Bytes(content[WINDOW - 300_000 :]), Cutting.CONTENT, AVERAGE)
    ]
    assert whole[-100:] == tail[-100:]


@pytest.mark.parametrize("length", [0, 1, AVERAGE, WINDOW, WINDOW + 1])
def test_any_length_can_be_cut(length: int) -> None:
    assert (
        sum(len(plain) for _, plain in cut(Bytes(noise(length)), Cutting.CONTENT, AVERAGE))
        == length
    )


def test_only_the_beginning_is_cut_when_told() -> None:
    assert (
        sum(len(plain) for _, plain in cut(Bytes(noise(90_000)), Cutting.CONTENT, AVERAGE, 50_000))
        == 50_000
    )


def test_a_source_that_becomes_shorter_ends_there() -> None:
    assert (
        sum(len(plain) for _, plain in cut(Shrinking(noise(90_000)), Cutting.CONTENT, AVERAGE))
        == 90_000
    )
    assert [*cut(Shrinking(b""), Cutting.CONTENT, AVERAGE)] == []


def test_longer_images_get_longer_chunks() -> None:
    assert average_for(1, None) == average_for(LARGE, None) == AVERAGE
    assert average_for(LARGE + 1, None) == 2 * AVERAGE
    assert average_for(1 << 40, None) == MOST_AVERAGE


def test_chunks_stay_as_long_as_before_while_that_is_nearly_right() -> None:
    assert average_for(LARGE + 1, AVERAGE) == AVERAGE
    assert average_for(LARGE, 2 * AVERAGE) == 2 * AVERAGE
    assert average_for(LARGE, 4 * AVERAGE) == AVERAGE
    assert average_for(4 * LARGE, AVERAGE) == 4 * AVERAGE


@pytest.mark.parametrize("length", [1, AVERAGE, WINDOW, WINDOW + 1, 2 * WINDOW + 5])
def test_blocks_are_all_as_long_but_the_last(length: int) -> None:
    content = noise(length)
    found = [(at, bytes(each)) for at, each in cut(Bytes(content), Cutting.BLOCKS, AVERAGE)]
    assert found == [(at, content[at : at + AVERAGE]) for at in range(0, length, AVERAGE)]


def test_an_erofs_image_is_cut_in_blocks() -> None:
    assert cutting_for(Bytes(bytes(1024) + b"\xe2\xe1\xf5\xe0" + bytes(9))) is Cutting.BLOCKS
    assert cutting_for(Bytes(noise(5000))) is Cutting.CONTENT
    assert cutting_for(Bytes(b"short")) is Cutting.CONTENT
