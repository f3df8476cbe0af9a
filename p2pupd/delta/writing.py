"""An image becomes a pack, in one pass over the image, within bounded memory.

The same image, the same earlier header and the same versions of libzstd and pyfastcdc make the same
pack, byte for byte.
"""

import hashlib
import shutil
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, TypeAlias

from p2pupd.delta.cutting import average_for, cut, cutting_for
from p2pupd.delta.frames import Frames
from p2pupd.delta.header import ZEROS, Header, Table, encode, parse
from p2pupd.delta.interface import Progress, Readable
from p2pupd.delta.limits import ID, MOST_RUN
from p2pupd.errors import HostError, PackError
from p2pupd.model.ids import Sha256

COPY: Final = 1 << 20
Numbers: TypeAlias = "array[int]"

_NO_BYTES: Final = bytes(COPY)


@dataclass(slots=True)
class Chunks:
    """The distinct chunks in the order in which they were found, and the image made of them."""

    numbers: dict[bytes, int] = field(default_factory=dict)
    """By whole digest: chunks that only begin alike stay apart."""
    plain: Numbers = field(default_factory=lambda: array("I"))
    stored: Numbers = field(default_factory=lambda: array("I"))
    image: Numbers = field(default_factory=lambda: array("I"))
    """Numbers of chunks; ZEROS for zero bytes, of which `zeros` has the lengths."""
    zeros: Numbers = field(default_factory=lambda: array("I"))

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
) -> Header:
    """Write the pack of `image` to `target`; its header.

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
    cutting = cutting_for(image)
    chunks, sha256 = _spooled(image, cut(image, cutting, average), spool, progress)
    order = _order(chunks, earlier)
    table = Table(image.size, sha256, cutting, average, *_columns(chunks, order))
    head = encode(table)
    header = parse(head, len(head) + sum(table.stored))
    target.write(head)
    _copy(spool, target, chunks, order)
    return header


def _spooled(
    image: Readable,
    cuts: Iterator[tuple[int, memoryview]],
    spool: BinaryIO,
    progress: Progress,
) -> tuple[Chunks, Sha256]:
    """The chunks, stored in `spool` one after the other, and the image's digest."""
    chunks, whole, frames = Chunks(), hashlib.sha256(), Frames()
    told = done = 0
    for offset, plain in cuts:
        whole.update(plain)
        done = offset + len(plain)
        if done - told >= COPY:
            progress(done)
            told = done
        if plain == _NO_BYTES[: len(plain)]:
            chunks.add_zeros(len(plain))
            continue
        digest = hashlib.sha256(plain).digest()
        number = chunks.numbers.setdefault(digest, len(chunks.plain))
        if number == len(chunks.plain):
            kept = frames.stored(plain)
            spool.write(kept)
            chunks.plain.append(len(plain))
            chunks.stored.append(len(kept))
        chunks.image.append(number)
    if done != image.size:
        raise HostError(f"the image became shorter while it was read: {done} of {image.size} bytes")
    progress(done)
    return chunks, Sha256(whole.hexdigest())


def _order(chunks: Chunks, earlier: Header | None) -> list[int]:
    """Numbers of chunks as they are to be stored: those of the earlier pack first, as there."""
    if earlier is None:
        return list(range(len(chunks.plain)))
    numbers = {digest[:ID]: number for digest, number in chunks.numbers.items()}
    names = (earlier.id_of(number) for number in range(earlier.chunks))
    old = {number: None for name in names if (number := numbers.get(name)) is not None}
    return [*old, *(number for number in range(len(chunks.plain)) if number not in old)]


def _columns(chunks: Chunks, order: list[int]) -> tuple[bytes, Numbers, Numbers, Numbers, Numbers]:
    """The last five fields of a Table."""
    digests = list(chunks.numbers)
    places = array("I", bytes(4 * len(order)))
    for place, number in enumerate(order):
        places[number] = place
    return (
        b"".join(digests[number][:ID] for number in order),
        array("I", (chunks.plain[number] for number in order)),
        array("I", (chunks.stored[number] for number in order)),
        *_runs(chunks, places),
    )


def _runs(chunks: Chunks, places: Numbers) -> tuple[Numbers, Numbers]:
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


def _copy(spool: BinaryIO, target: BinaryIO, chunks: Chunks, order: list[int]) -> None:
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
