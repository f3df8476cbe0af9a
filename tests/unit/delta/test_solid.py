"""Images that will not delta are known by their first bytes."""

import bz2
import gzip
import lzma
import struct

import pytest
import zstandard

from p2pupd.delta.solid import solid
from tests.packing import Bytes, prose

PLAIN = prose(5000)


def _squashfs(block: int) -> bytes:
    return struct.pack("<4sIII", b"hsqs", 1, 0, block) + bytes(100)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (gzip.compress(PLAIN), "gzip"),
        (lzma.compress(PLAIN), "xz"),
        (lzma.compress(PLAIN, lzma.FORMAT_ALONE), "lzma"),
        (bz2.compress(PLAIN), "bzip2"),
        (zstandard.ZstdCompressor().compress(PLAIN), "zstd"),
        (_squashfs(1 << 20), "squashfs with blocks of 1024 KiB"),
    ],
)
def test_what_is_compressed_as_a_whole_is_told_with_what_to_do(image: bytes, kind: str) -> None:
    found = solid(Bytes(image))
    assert found is not None
    assert found.kind == kind
    assert "instead" in found.instead or "-b 128K" in found.instead


@pytest.mark.parametrize("image", [PLAIN, _squashfs(128 << 10), b"hsqs", b"", bytes(1000)])
def test_what_is_not_is_let_alone(image: bytes) -> None:
    assert solid(Bytes(image)) is None
