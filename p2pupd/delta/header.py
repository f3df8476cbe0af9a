"""The header of a pack: bytes to a checked table, or one PackError (docs/pack-format.md).

No I/O. Whatever a table claims, memory stays below a small multiple of MOST_HEADER.
"""

import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

import zstandard

from p2pupd.delta.frames import expanded
from p2pupd.delta.limits import (
    ID,
    LEAST_AVERAGE,
    MAGIC,
    MOST_AVERAGE,
    MOST_CHUNKS,
    MOST_FRAME,
    MOST_HEADER,
    MOST_IMAGE,
    MOST_RUNS,
    PREAMBLE,
    SPREAD,
    Cutting,
)
from p2pupd.errors import PackError
from p2pupd.model.ids import Sha256

ZEROS: Final = (1 << 32) - 1
"""Instead of a run's first chunk: it is zero bytes."""

LEVEL: Final = 12
"""zstd's, for the header: mostly digests, so more would not pay."""

_PREAMBLE: Final = struct.Struct("<8sII")
_FIXED: Final = struct.Struct("<Q32sIIIII")


@dataclass(frozen=True, slots=True)
class Run:
    """A part of the image: `amount` chunks from number `first` on, or, where that is None, so many
    zero bytes."""

    first: int | None
    amount: int


@dataclass(frozen=True, slots=True)
class Table:
    """What a header says. Chunks and frames are numbered as they are stored.

    `ids` holds ID bytes for each chunk, `plain` its length. `counts` holds for each frame how many
    chunks it is made of, `stored` its length in the pack: that of its chunks where it is not
    compressed. `firsts` and `amounts` are the runs.
    """

    image_length: int
    image_sha256: Sha256
    cutting: Cutting
    average: int
    ids: bytes
    plain: "array[int]"
    counts: "array[int]"
    stored: "array[int]"
    firsts: "array[int]"
    amounts: "array[int]"

    @property
    def chunks(self) -> int:
        return len(self.plain)

    def id_of(self, chunk: int) -> bytes:
        """The first ID bytes of the SHA-256 of that chunk's plain bytes."""
        return self.ids[chunk * ID : (chunk + 1) * ID]

    def runs(self) -> Iterator[Run]:
        """The image, in order."""
        for first, amount in zip(self.firsts, self.amounts, strict=True):
            yield Run(None if first == ZEROS else first, amount)


@dataclass(frozen=True, slots=True)
class Header(Table):
    """A table that was checked, and where things are in its pack.

    `offsets` has one number more than there are frames: where each begins in the pack, then the
    pack's end. `begins` has the number of the first chunk of each, then that of chunks. `before`
    has the plain bytes before each chunk, then of all. `length` are the bytes before the first
    frame, preamble included.
    """

    offsets: "array[int]"
    begins: "array[int]"
    before: "array[int]"
    length: int

    @property
    def frames(self) -> int:
        return len(self.stored)

    def chunks_of(self, frame: int) -> range:
        """Numbers of the chunks in that frame."""
        return range(self.begins[frame], self.begins[frame + 1])

    def frame_of(self, chunk: int) -> int:
        """Number of the frame that holds that chunk."""
        return bisect_right(self.begins, chunk) - 1

    def plain_length(self, frame: int) -> int:
        """Bytes of that frame when it is expanded."""
        return self.before[self.begins[frame + 1]] - self.before[self.begins[frame]]

    @property
    def pack_length(self) -> int:
        """Bytes of the whole pack."""
        return self.offsets[-1]


def encode(table: Table) -> bytes:
    """The header's bytes, preamble included. Deterministic for one version of libzstd."""
    lengths = zip(_plain_lengths(table.plain, table.counts), table.stored, strict=True)
    kept = array("I", (0 if stored == plain else stored for plain, stored in lengths))
    body = b"".join(
        (
            _FIXED.pack(
                table.image_length,
                bytes.fromhex(table.image_sha256),
                table.cutting,
                table.average,
                len(table.plain),
                len(table.counts),
                len(table.firsts),
            ),
            table.ids,
            _planes(table.plain, 3),
            _planes(table.counts, 2),
            _planes(kept, 3),
            _planes(table.firsts, 4),
            _planes(table.amounts, 4),
        )
    )
    packed = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress(body)
    return _PREAMBLE.pack(MAGIC, len(packed), len(body)) + packed


def header_length(beginning: bytes) -> int:
    """Bytes before the first frame, told by a pack's first PREAMBLE bytes. Raises PackError."""
    return PREAMBLE + _announced(beginning)[0]


def parse(raw: bytes, pack_length: int) -> Header:
    """The table at the beginning of `raw`; the pack is said to have `pack_length` bytes.

    `raw` has at least `header_length` bytes; what follows them is not looked at. Raises PackError
    for anything but a table each number of which is right.
    """
    body, length = _body(raw)
    image_length, sha256, cutting, average, chunks, frames, runs = _FIXED.unpack_from(body)
    _check_kind(image_length, cutting, average)
    _check_amounts(len(body), chunks, frames, runs)
    at = _FIXED.size + chunks * ID
    plain = _numbers(body, at, chunks, 3)
    _check_chunks(plain, average * SPREAD)
    counts, stored = _frames(body, at + chunks * 3, plain, frames)
    at += chunks * 3 + frames * 5
    header = Header(
        image_length=image_length,
        image_sha256=Sha256(sha256.hex()),
        cutting=Cutting(cutting),
        average=average,
        ids=body[_FIXED.size : _FIXED.size + chunks * ID],
        plain=plain,
        counts=counts,
        stored=stored,
        firsts=_numbers(body, at, runs, 4),
        amounts=_numbers(body, at + runs * 4, runs, 4),
        offsets=array("Q", accumulate(stored, initial=length)),
        begins=array("I", accumulate(counts, initial=0)),
        before=array("Q", accumulate(plain, initial=0)),
        length=length,
    )
    _check_runs(header)
    _require(
        header.pack_length == pack_length,
        f"{header.pack_length} bytes, but the pack has {pack_length}",
    )
    return header


def _announced(beginning: bytes) -> tuple[int, int]:
    """(packed, plain) length of the table."""
    _require(len(beginning) >= PREAMBLE, "fewer bytes than a pack begins with")
    magic, packed, plain = _PREAMBLE.unpack_from(beginning)
    _require(magic == MAGIC, "no pack, or one of a version that is not known here")
    _require(1 <= packed <= MOST_HEADER, f"a header of {packed} bytes")
    _require(_FIXED.size <= plain <= MOST_HEADER, f"a table of {plain} bytes")
    return packed, plain


def _body(raw: bytes) -> tuple[bytes, int]:
    """(the table, bytes before the first frame)."""
    packed, plain = _announced(raw)
    length = PREAMBLE + packed
    _require(len(raw) >= length, f"{len(raw)} bytes; the header has {length}")
    frame = raw[PREAMBLE:length]
    return expanded(frame, plain, "the header", zstandard.ZstdDecompressor()), length


def _check_kind(image_length: int, cutting: int, average: int) -> None:
    _require(1 <= image_length <= MOST_IMAGE, f"an image of {image_length} bytes")
    _require(
        LEAST_AVERAGE <= average <= MOST_AVERAGE and average.bit_count() == 1,
        f"chunks of {average} bytes on average",
    )
    _require(cutting in tuple(Cutting), f"chunks cut in a way that is not known here ({cutting})")


def _check_amounts(length: int, chunks: int, frames: int, runs: int) -> None:
    """Raises PackError unless a table of so many chunks, frames and runs has that length."""
    _require(chunks <= MOST_CHUNKS, f"{chunks} chunks")
    _require(frames <= chunks, f"{frames} frames of {chunks} chunks")
    _require(1 <= runs <= MOST_RUNS, f"{runs} runs")
    expected = _FIXED.size + chunks * (ID + 3) + frames * 5 + runs * 8
    _require(length == expected, f"a table of {length} bytes for which {expected} are right")


def _check_chunks(plain: "array[int]", most: int) -> None:
    _require(min(plain, default=1) >= 1, "an empty chunk")
    longest = max(plain, default=1)
    _require(longest <= most, f"a chunk of {longest} bytes where {most} are the most")


def _plain_lengths(plain: "array[int]", counts: "array[int]") -> "array[int]":
    """Of frames of so many chunks, plain; of those there are as many as needed."""
    before = array("Q", accumulate(plain, initial=0))
    ends = array("I", accumulate(counts, initial=0))
    return array("Q", (before[end] - before[start] for start, end in pairwise(ends)))


def _frames(
    body: bytes, at: int, plain: "array[int]", frames: int
) -> tuple["array[int]", "array[int]"]:
    """How many chunks each frame has, and its stored length."""
    counts = _numbers(body, at, frames, 2)
    return counts, _stored(plain, counts, _numbers(body, at + frames * 2, frames, 3))


def _stored(plain: "array[int]", counts: "array[int]", kept: "array[int]") -> "array[int]":
    """The frames' stored lengths, those of frames that are not compressed filled in."""
    _require(min(counts, default=1) >= 1, "a frame without a chunk")
    _require(sum(counts) == len(plain), f"frames of {sum(counts)} chunks, and {len(plain)} chunks")
    lengths = _plain_lengths(plain, counts)
    longest = max(lengths, default=1)
    _require(longest <= MOST_FRAME, f"a frame of {longest} bytes where {MOST_FRAME} are the most")
    _require(
        all(stored < length for stored, length in zip(kept, lengths, strict=True)),
        "a frame that is longer than its plain bytes",
    )
    return array("I", (stored or length for stored, length in zip(kept, lengths, strict=True)))


def _check_runs(header: Header) -> None:
    """Raises PackError unless runs use each chunk, no other, and make exactly the image."""
    before = header.before
    used = bytearray(header.chunks)
    length, left = 0, header.image_length * SPREAD // header.average + 1
    for run in header.runs():
        _require(run.amount >= 1, "an empty run")
        if run.first is None:
            length += run.amount
        else:
            end, left = run.first + run.amount, left - run.amount
            _require(left >= 0, "more chunks than its image can have")
            _require(end <= header.chunks, f"chunk {end - 1} of {header.chunks}")
            length += before[end] - before[run.first]
            _require(length <= header.image_length, "more than its image")
            used[run.first : end] = b"\1" * run.amount
    _require(
        length == header.image_length,
        f"{length} bytes for an image of {header.image_length}",
    )
    _require(all(used), "chunks that no part of the image needs")


def _planes(numbers: "array[int]", width: int) -> bytes:
    """All lowest bytes, then all second ones, and so on: so they compress best."""
    raw = array("I", numbers)
    if sys.byteorder == "big":
        raw.byteswap()
    octets = raw.tobytes()
    return b"".join(octets[plane :: raw.itemsize] for plane in range(width))


def _numbers(body: bytes, at: int, count: int, width: int) -> "array[int]":
    """What `_planes` wrote."""
    numbers = array("I", bytes(4 * count))
    octets = memoryview(numbers).cast("B")
    for plane in range(width):
        octets[plane::4] = body[at + plane * count : at + (plane + 1) * count]
    octets.release()
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _require(condition: bool, found: str) -> None:
    if not condition:
        raise PackError(f"the pack is damaged or was made wrongly: its table tells of {found}")
