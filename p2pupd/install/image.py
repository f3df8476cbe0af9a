"""From the carried file to the image's bytes. Every artifact format has one unpacker."""

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Final

from p2pupd.delta.checking import signed_header
from p2pupd.delta.files import opened
from p2pupd.delta.interface import Zeros
from p2pupd.delta.unpacking import plain_image
from p2pupd.model.release import ArtifactFormat, Image

CHUNK: Final = 1 << 20
"""Bytes per write: a multiple of every flash erase block and RAID stripe that matters."""

Chunks = Generator[memoryview | Zeros, None, None]
Unpacker = Callable[[Path, Image], Chunks]
"""unpacker(carried file, what is signed): the image, in order; a part is valid until the next one
is asked for. May raise OSError, HostError, or PackError before the first part and at the end."""


def raw(content: Path, _: Image) -> Chunks:
    """The carried file is the image."""
    buffer = memoryview(bytearray(CHUNK))
    with open(content, "rb", buffering=0) as file:
        while size := _fill(file.readinto, buffer):
            yield buffer[:size]


def pack1(content: Path, image: Image) -> Chunks:
    """What the chunk pack unpacks to, if its header says that this is the signed image. Whether it
    is one, tells the digest of what was written."""
    with opened(content) as pack:
        yield from plain_image(pack, signed_header(pack, image), proved=False)


def _fill(read_into: Callable[[memoryview], int | None], buffer: memoryview) -> int:
    """Fill the whole buffer unless the file ends, so that every write but the last is aligned."""
    size = 0
    while size < len(buffer) and (count := read_into(buffer[size:])):
        size += count
    return size


def refuse_wrong_pack(carried_as: ArtifactFormat, content: Path, image: Image) -> None:
    """Look at no more than the header, before the slot is touched. Raises PackError or HostError.

    A raw image is whatever it is: its digest was signed.
    """
    if carried_as is ArtifactFormat.PACK1:
        with opened(content) as pack:
            signed_header(pack, image)


def blame_pack(carried_as: ArtifactFormat, content: Path, image: Image) -> None:
    """The slot reads as something else than was signed: raises PackError where the pack is why."""
    if carried_as is ArtifactFormat.PACK1:
        with opened(content) as pack:
            for _ in plain_image(pack, signed_header(pack, image)):
                pass


UNPACKERS: Final[Mapping[ArtifactFormat, Unpacker]] = {
    ArtifactFormat.RAW: raw,
    ArtifactFormat.PACK1: pack1,
}
