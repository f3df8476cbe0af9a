"""An image becomes a pack, in one pass over the image, within bounded memory.

The same image, the same earlier header and the same versions of libzstd and pyfastcdc make the same
pack, byte for byte.
"""

import hashlib
import shutil
from array import array
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from p2pupd.delta.cutting import average_for, cut
from p2pupd.delta.frames import Frames, chunk_id
from p2pupd.delta.header import ZEROS, Header, Table, encode, parse
from p2pupd.delta.interface import Progress, Readable
from p2pupd.delta.limits import MOST_RUN
from p2pupd.delta.solid import solid
from p2pupd.errors import PackError
from p2pupd.model.ids import Sha256

COPY: Final = 1 << 20
PAYING: Final = 0.98
"""The share of the image at most that a pack of something that cannot delta has to have."""

_NO_BYTES: Final = bytes(COPY)


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written. `pays`: carry the pack; otherwise the raw image serves better."""

    header: Header
    pays: bool

    @property
    def ratio(self) -> float:
        """Bytes of the pack for a byte of the image."""
        return self.header.pack_length / self.header.image_length


@dataclass(slots=True)
class _Chunks:
    """The distinct chunks in the order in which they were found, and the image made of them."""

    numbers: dict[bytes, int] = field(default_factory=dict)
    plain: "array[int]" = field(default_factory=lambda: array("I"))
    stored: "array[int]" = field(default_factory=lambda: array("I"))
    image: "array[int]" = field(default_factory=lambda: array("I"))
    """Numbers of chunks; ZEROS for zero bytes, of which `zeros` has the lengths."""
    zeros: "array[int]" = field(default_factory=lambda: array("I"))

    def add_zeros(self, length: int) -> None:
        fits = bool(self.zeros) and self.zeros[-1] + length <= MOST_RUN
        if fits and self.image[-1] == ZEROS:
            self.zeros[-1] += length
        else:
            self.image.append(ZEROS)
            self.zeros.append(length)


def pack(
    image: Readable,
    target: BinaryIO,
    spool: BinaryIO,
    progress: Progress,
    *,
    earlier: Header | None = None,
) -> Packed:
    """Write the pack of `image` to `target`.

    `earlier` is the header of the pack of the release before: what is new since then is stored
    together, so that who has any of the releases before it brings few pieces that hold something
    else, too. `spool` is an empty file, open for writing and reading, that takes the chunks
    meanwhile: as many bytes as the pack has. `progress` hears the bytes of the image.

    Raises PackError for an image that no pack can hold (empty, above MOST_IMAGE), HostError where
    the image cannot be read, OSError where `target` or `spool` cannot be written.
    """
    if not image.size:
        raise PackError("an empty image cannot be packed")
    average = average_for(image.size, earlier.average if earlier else None)
    chunks, sha256 = _spooled(image, average, spool, progress)
    order = _order(chunks, earlier)
    table = _table(chunks, order, average, image.size, sha256)
    head = encode(table)
    header = parse(head, len(head) + sum(table.stored))
    target.write(head)
    _copy(spool, target, chunks, order)
    pays = solid(image) is None or header.pack_length < PAYING * image.size
    return Packed(header, pays)


def _spooled(
    image: Readable, average: int, spool: BinaryIO, progress: Progress
) -> tuple[_Chunks, Sha256]:
    """The chunks, stored in `spool` one after the other, and the image's digest."""
    chunks, whole, frames = _Chunks(), hashlib.sha256(), Frames()
    told = done = 0
    for offset, plain in cut(image, average):
        whole.update(plain)
        done = offset + len(plain)
        if done - told >= COPY:
            progress(done)
            told = done
        if plain == _NO_BYTES[: len(plain)]:
            chunks.add_zeros(len(plain))
            continue
        name = chunk_id(plain)
        number = chunks.numbers.setdefault(name, len(chunks.plain))
        if number == len(chunks.plain):
            kept = frames.stored(plain)
            spool.write(kept)
            chunks.plain.append(len(plain))
            chunks.stored.append(len(kept))
        chunks.image.append(number)
    if done != image.size:
        raise PackError(f"the image became shorter while it was read: {done} of {image.size} bytes")
    progress(done)
    return chunks, Sha256(whole.hexdigest())


def _order(chunks: _Chunks, earlier: Header | None) -> list[int]:
    """Numbers of chunks as they are to be stored: those of the earlier pack first, as there."""
    if earlier is None:
        return list(range(len(chunks.plain)))
    names = (earlier.id_of(number) for number in range(earlier.chunks))
    old = [number for name in names if (number := chunks.numbers.get(name)) is not None]
    known = set(old)
    return old + [number for number in range(len(chunks.plain)) if number not in known]


def _table(
    chunks: _Chunks, order: list[int], average: int, image_length: int, sha256: Sha256
) -> Table:
    names = list(chunks.numbers)
    places = array("I", bytes(4 * len(order)))
    for place, number in enumerate(order):
        places[number] = place
    firsts, amounts = _runs(chunks, places)
    return Table(
        image_length=image_length,
        image_sha256=sha256,
        average=average,
        ids=b"".join(names[number] for number in order),
        plain=array("I", (chunks.plain[number] for number in order)),
        stored=array("I", (chunks.stored[number] for number in order)),
        firsts=firsts,
        amounts=amounts,
    )


def _runs(chunks: _Chunks, places: "array[int]") -> tuple["array[int]", "array[int]"]:
    firsts, amounts, zeros = array("I"), array("I"), iter(chunks.zeros)
    for number in chunks.image:
        if number == ZEROS:
            firsts.append(ZEROS)
            amounts.append(next(zeros))
        elif firsts and firsts[-1] != ZEROS and firsts[-1] + amounts[-1] == places[number]:
            amounts[-1] += 1
        else:
            firsts.append(places[number])
            amounts.append(1)
    return firsts, amounts


def _copy(spool: BinaryIO, target: BinaryIO, chunks: _Chunks, order: list[int]) -> None:
    """The stored chunks, from `spool` to `target`, in that order."""
    if order == list(range(len(order))):
        spool.seek(0)
        shutil.copyfileobj(spool, target, COPY)
        return
    begins, at = array("Q"), 0
    for length in chunks.stored:
        begins.append(at)
        at += length
    for number in order:
        spool.seek(begins[number])
        target.write(spool.read(chunks.stored[number]))
