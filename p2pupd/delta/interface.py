"""What the room expects of its callers: bytes to read from, a slot to write to, a say on the way.

    writer    writing.pack(image, target, spool, earlier) -> Packed
    header    header.header_length(beginning), header.parse(raw, pack_length) -> Header
    matching  matching.find(header, sources, progress) -> Held
    pieces    assembling.Assembly(header, held, piece_length).pieces(progress) -> (index, bytes)...
    unpack    unpacking.plain_image(pack, header) -> memoryview | Zeros ...;  unpack(pack, target)
    solid     solid.solid(image) -> Solid | None: will not delta, and what to do instead

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
