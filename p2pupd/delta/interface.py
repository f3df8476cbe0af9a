"""What the room expects of its callers: bytes to read from, a slot to write to, a say on the way.

    files.opened(path)                              a Readable: a file or a block device
    solid.solid(image)                              what will not delta, and what to do instead
    writing.pack(image, target, spool, ...)         the publisher makes a pack
    header.header_length(first 16 bytes)            how many bytes the header's pieces hold
    unpacking.header_of(pack, pack_length)          the checked header
    matching.find(header, [PackSource, ImageSource], ...)   which chunks are held, and where
    assembling.Assembly(held, piece_length, lacking)        the pieces that can be made of them
    unpacking.plain_image(pack, header)             the image, part by part; unpack(): into a Target

Everything blocks; run it in a thread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Progress = Callable[[int], object]
"""Told the bytes done so far, now and then. What it raises ends the work: that is how to stop."""


class Readable(Protocol):
    """Bytes at rest: a file, or a block device."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only where they end. Raises HostError."""


@dataclass(frozen=True, slots=True)
class Zeros:
    """So many zero bytes of the image: to be written, punched or skipped as the medium needs."""

    length: int


class Target(Protocol):
    """Where an image goes, in order; never more than the image's declared length is given."""

    def write(self, data: memoryview) -> object:
        """The next bytes; valid until the call returns."""

    def zeros(self, length: int) -> object:
        """The next `length` bytes read as zeros from now on."""
