"""Packs for tests, in memory: the real writer and reader over bytes instead of files."""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from p2pupd.delta.assembling import Assembly
from p2pupd.delta.header import Header
from p2pupd.delta.interface import Progress
from p2pupd.delta.matching import ImageSource, PackSource, Source, find
from p2pupd.delta.unpacking import header_of, unpack
from p2pupd.delta.writing import pack

PIECE = 16 * 1024


def quietly(done: int) -> None:
    """Nobody wants to know."""


@dataclass
class Bytes:
    """A Readable."""

    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]


@dataclass
class Slot:
    """A Target that keeps what it was given."""

    content: bytearray = field(default_factory=bytearray)
    skipped: int = 0

    def write(self, data: memoryview) -> None:
        self.content += data

    def zeros(self, length: int) -> None:
        self.content += bytes(length)
        self.skipped += length


@dataclass
class Pack:
    """A pack and its header."""

    raw: bytes
    header: Header

    @property
    def source(self) -> PackSource:
        return PackSource(Bytes(self.raw), self.header)

    def pieces(self, length: int = PIECE) -> list[bytes]:
        return [self.raw[at : at + length] for at in range(0, len(self.raw), length)]


def packed(image: bytes, earlier: Pack | None = None) -> Pack:
    """`earlier` is the pack of the release before."""
    target = io.BytesIO()
    before = earlier.source.reader if earlier else None
    header = pack(Bytes(image), target, io.BytesIO(), quietly, earlier=before)
    return Pack(target.getvalue(), header)


def unpacked(raw: bytes, slot: Slot | None = None, progress: Progress = quietly) -> bytes:
    """The image in the pack `raw`. Raises PackError."""
    slot = slot or Slot()
    unpack(Bytes(raw), header_of(Bytes(raw)), slot, progress)
    return bytes(slot.content)


def image_source(image: bytes) -> ImageSource:
    return ImageSource(Bytes(image))


def reused(new: Pack, *sources: Source, length: int = PIECE) -> dict[int, bytes]:
    """The pieces of `new` that `sources` make."""
    return dict(Assembly(find(new.header, sources, quietly), length).pieces(quietly))


def transferred(new: Pack, sources: Sequence[Source], length: int = PIECE) -> int:
    """Bytes of the pieces that are left to fetch. Fails where one that was made is wrong."""
    pieces, made = new.pieces(length), reused(new, *sources, length=length)
    assert all(pieces[number] == content for number, content in made.items())
    return sum(len(content) for number, content in enumerate(pieces) if number not in made)


def noise(length: int, seed: int = 1) -> bytes:
    """Bytes that do not compress, always the same ones."""
    return random.Random(seed).randbytes(length)


def prose(length: int, seed: int = 1) -> bytes:
    """Bytes that compress well, and in which no chunk comes twice."""
    source = random.Random(seed)
    words = [source.randbytes(5).hex().encode() for _ in range(300)]
    made = b" ".join(source.choices(words, k=length // 11 + 1))
    return made[:length]
