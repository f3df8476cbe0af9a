"""From the carried file to the image's bytes. Every artifact format has one unpacker."""

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Final

from p2pupd.errors import InstallError
from p2pupd.model.release import ArtifactFormat

CHUNK: Final = 1 << 20
"""Bytes per write: a multiple of every flash erase block and RAID stripe that matters."""

Chunks = Generator[memoryview, None, None]
Unpacker = Callable[[Path], Chunks]


def raw(content: Path) -> Chunks:
    """The carried file is the image. A chunk is valid until the next one is asked for."""
    buffer = memoryview(bytearray(CHUNK))
    with open(content, "rb", buffering=0) as file:
        while size := _fill(file.readinto, buffer):
            yield buffer[:size]


def _fill(read_into: Callable[[memoryview], int | None], buffer: memoryview) -> int:
    """Fill the whole buffer unless the file ends, so that every write but the last is aligned."""
    size = 0
    while size < len(buffer) and (count := read_into(buffer[size:])):
        size += count
    return size


def unpacker_for(carried_as: ArtifactFormat) -> Unpacker:
    """Raises InstallError where this version cannot unpack that format."""
    unpacker = UNPACKERS.get(carried_as)
    if unpacker is None:
        known = ", ".join(UNPACKERS)
        raise InstallError(
            f"this version of p2pupd cannot unpack {carried_as}, only {known}: update it first",
            reason="unknown-format",
        )
    return unpacker


UNPACKERS: Final[Mapping[ArtifactFormat, Unpacker]] = {ArtifactFormat.RAW: raw}
