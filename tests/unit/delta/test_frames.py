"""A chunk is stored in the shorter way, and comes back as it was or not at all."""

import pytest
import zstandard

from p2pupd.delta.frames import Frames
from p2pupd.errors import PackError
from tests.packing import noise, prose


@pytest.mark.parametrize("plain", [prose(5000), noise(5000), b"x"])
def test_what_was_stored_comes_back(plain: bytes) -> None:
    frames = Frames()
    kept = frames.stored(plain)
    assert len(kept) <= len(plain)
    assert frames.restored(kept, len(plain)) == plain


def test_what_does_not_compress_is_stored_as_it_is() -> None:
    assert Frames().stored(noise(5000)) == noise(5000)


def test_a_frame_that_expands_further_than_declared_is_refused_before_it_is_expanded() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 30))
    with pytest.raises(PackError, match="expands to 1073741824 bytes"):
        Frames().restored(bomb, 60_000)


def test_a_frame_that_does_not_tell_its_length_is_refused() -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(prose(5000))
    with pytest.raises(PackError):
        Frames().restored(frame, 5000)


def test_bytes_behind_a_frame_are_refused() -> None:
    kept = Frames().stored(prose(5000)) + b"more"
    with pytest.raises(PackError, match="cannot be expanded"):
        Frames().restored(kept, 5000)
