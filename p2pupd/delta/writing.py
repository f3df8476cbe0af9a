"""An image becomes a pack, in two passes over the image, within bounded memory.

The same image, the same earlier pack and the same versions of libzstd and pyfastcdc make the same
pack, byte for byte.
"""

import hashlib
import shutil
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, TypeAlias

from p2pupd.delta.cutting import average_for, cut, cutting_for
from p2pupd.delta.frames import Frames
from p2pupd.delta.grouping import Group, groups
from p2pupd.delta.header import ZEROS, Header, Table, encode, parse
from p2pupd.delta.interface import Progress, Readable
from p2pupd.delta.limits import ID, MOST_RUN
from p2pupd.delta.reading import Reader
from p2pupd.errors import HostError, PackError
from p2pupd.model.ids import Sha256

COPY: Final = 1 << 20
COMPRESSING: Final = 0.97
"""The share of their plain bytes at most that chunks have to have together: otherwise each is a
frame by itself, so that it can be had by itself."""

LOOKING: Final = 0.25
"""The share of the first pass in the progress."""

Numbers: TypeAlias = "array[int]"

_NO_BYTES: Final = bytes(COPY)


@dataclass(slots=True)
class Chunks:
    """The distinct chunks in the order in which they were found, and the image made of them."""

    numbers: dict[bytes, int] = field(default_factory=dict)
    """By whole digest: chunks that only begin alike stay apart."""
    plain: Numbers = field(default_factory=lambda: array("I"))
    offsets: Numbers = field(default_factory=lambda: array("Q"))
    """Where each was found first in the image."""
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


@dataclass(slots=True)
class Stored:
    """The chunks in the order of the pack, and the frames that they are in."""

    order: Numbers = field(default_factory=lambda: array("I"))
    counts: Numbers = field(default_factory=lambda: array("I"))
    stored: Numbers = field(default_factory=lambda: array("I"))

    def add(self, chunks: Numbers, length: int) -> None:
        self.order += chunks
        self.counts.append(len(chunks))
        self.stored.append(length)


def pack(
    image: Readable,
    target: BinaryIO,
    spool: BinaryIO,
    progress: Progress,
    *,
    earlier: Reader | None = None,
) -> Header:
    """Write the pack of `image` to `target`; its header.

    `earlier` is the pack of the release before: frames are taken over from it, and what is new
    since then is stored together, so that who has any of the releases before it brings few pieces
    that hold something else, too. `spool` is an empty file, open for writing and reading, that
    takes the frames meanwhile. `progress` hears the bytes of the image.

    Raises PackError for an image that no pack can hold (empty, above MOST_IMAGE), HostError where
    the image cannot be read or changes, OSError where `target` or `spool` cannot be written.
    """
    if not image.size:
        raise PackError("an empty image cannot be packed")
    average = average_for(image.size, earlier.header.average if earlier else None)
    cutting = cutting_for(image)
    looked, made = int(image.size * LOOKING), image.size - int(image.size * LOOKING)
    chunks, sha256 = _found(
        image, cut(image, cutting, average), lambda done: progress(looked * done // image.size)
    )
    total = max(sum(chunks.plain), 1)
    stored = _Frames(image, chunks, earlier, spool).written(
        lambda done: progress(looked + made * done // total)
    )
    table = Table(image.size, sha256, cutting, average, *_columns(chunks, stored))
    head = encode(table)
    header = parse(head, len(head) + sum(table.stored))
    target.write(head)
    spool.seek(0)
    shutil.copyfileobj(spool, target, COPY)
    progress(image.size)
    return header


def _found(
    image: Readable, cuts: Iterator[tuple[int, memoryview]], progress: Progress
) -> tuple[Chunks, Sha256]:
    """The chunks, and the image's digest."""
    chunks, whole = Chunks(), hashlib.sha256()
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
            chunks.plain.append(len(plain))
            chunks.offsets.append(offset)
        chunks.image.append(number)
    if done != image.size:
        raise HostError(f"the image became shorter while it was read: {done} of {image.size} bytes")
    return chunks, Sha256(whole.hexdigest())


class _Frames:
    """Writes the frames of `chunks` to `spool`."""

    def __init__(
        self, image: Readable, chunks: Chunks, earlier: Reader | None, spool: BinaryIO
    ) -> None:
        self._image = image
        self._chunks = chunks
        self._digests = list(chunks.numbers)
        self._earlier = earlier
        self._spool = spool
        self._frames = Frames()
        self._stored = Stored()

    def written(self, progress: Callable[[int], object]) -> Stored:
        """Hears the plain bytes of the chunks that are stored."""
        chunks, told, done = self._chunks, 0, 0
        earlier = self._earlier.header if self._earlier else None
        for group in groups(chunks.plain, chunks.numbers, earlier):
            if not self._take_over(group):
                self._make(group.chunks)
            done += sum(chunks.plain[number] for number in group.chunks)
            if done - told >= COPY:
                progress(done)
                told = done
        return self._stored

    def _take_over(self, group: Group) -> bool:
        """Whether the earlier pack has that frame, and it is what its header says.

        So a frame stays the same when another version of libzstd would make another one.
        """
        if self._earlier is None or group.kept is None:
            return False
        header = self._earlier.header
        try:
            kept = self._earlier.stored(group.kept)
            plain = memoryview(self._frames.restored(kept, header.plain_length(group.kept)))
        except PackError:
            return False
        at = 0
        for number in group.chunks:
            end = at + self._chunks.plain[number]
            if hashlib.sha256(plain[at:end]).digest() != self._digests[number]:
                return False
            at = end
        self._write(group.chunks, kept)
        return True

    def _make(self, row: Numbers) -> None:
        parts = [self._plain(number) for number in row]
        plain = b"".join(parts)
        kept = self._frames.stored(plain)
        if len(row) == 1 or len(kept) <= COMPRESSING * len(plain):
            self._write(row, kept)
            return
        for number, part in zip(row, parts, strict=True):
            self._write(array("I", [number]), self._frames.stored(part))

    def _plain(self, number: int) -> bytes:
        chunks = self._chunks
        plain = self._image.read_at(chunks.offsets[number], chunks.plain[number])
        if hashlib.sha256(plain).digest() != self._digests[number]:
            raise HostError("the image changed while it was read")
        return plain

    def _write(self, row: Numbers, kept: bytes) -> None:
        self._spool.write(kept)
        self._stored.add(row, len(kept))


def _columns(
    chunks: Chunks, stored: Stored
) -> tuple[bytes, Numbers, Numbers, Numbers, Numbers, Numbers]:
    """The last six fields of a Table."""
    digests, order = list(chunks.numbers), stored.order
    places = array("I", bytes(4 * len(order)))
    for place, number in enumerate(order):
        places[number] = place
    return (
        b"".join(digests[number][:ID] for number in order),
        array("I", (chunks.plain[number] for number in order)),
        stored.counts,
        stored.stored,
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
