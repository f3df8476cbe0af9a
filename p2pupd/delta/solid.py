"""Images that are compressed as a whole: a change at the front changes every byte behind it."""

import struct
from dataclasses import dataclass
from typing import Final

from p2pupd.delta.interface import Readable

BIG_BLOCK: Final = 256 << 10
"""Bytes: a file system compressed in blocks of that length or more changes as much for one byte."""

LOOK: Final = 128

_SQUASHFS: Final = struct.Struct("<4s8xI")
_UNPACKED: Final = "add the uncompressed file instead: the pack compresses what travels"
_KINDS: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x5d\x00\x00", "lzma"),
    (b"LZIP", "lzip"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
)


@dataclass(frozen=True, slots=True)
class Solid:
    """`kind` is what it is (`gzip`, `squashfs with blocks of 1024 KiB`), `instead` what to do."""

    kind: str
    instead: str


def solid(image: Readable) -> Solid | None:
    """What makes an update of this image travel nearly whole; None where nothing is seen that does.

    Looks at the first bytes only. Raises HostError.
    """
    beginning = image.read_at(0, LOOK)
    for magic, kind in _KINDS:
        if beginning.startswith(magic):
            return Solid(kind, _UNPACKED)
    if len(beginning) >= _SQUASHFS.size and beginning.startswith(b"hsqs"):
        _, block = _SQUASHFS.unpack_from(beginning)
        if block >= BIG_BLOCK:
            return Solid(
                f"squashfs with blocks of {block >> 10} KiB",
                "make it with blocks of 128 KiB at most (mksquashfs -b 128K), or add an ext4 image",
            )
    return None
