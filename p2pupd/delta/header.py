"""The header of a pack: bytes to a checked table, or one PackError (docs/pack-format.md).

No I/O. Whatever a table claims, memory stays below a small multiple of MOST_HEADER.
"""

import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import zstandard

from p2pupd.delta.frames import expanded
from p2pupd.delta.limits import (
    ID,
    LEAST_AVERAGE,
    MAGIC,
    MOST_AVERAGE,
    MOST_CHUNKS,
    MOST_HEADER,
    MOST_IMAGE,
    MOST_RUNS,
    PREAMBLE,
    SPREAD,
)
from p2pupd.errors import PackError
from p2pupd.model.ids import Sha256

ZEROS: Final = (1 << 32) - 1
"""Instead of a run's first chunk: it is zero bytes."""

LEVEL: Final = 12
"""zstd's, for the header: mostly digests, so more would not pay."""

_PREAMBLE: Final = struct.Struct("<8sII")
_FIXED: Final = struct.Struct("<Q32sIII")


@dataclass(frozen=True, slots=True)
class Run:
    """A part of the image: `amount` chunks from number `first` on, or, where that is None, so many
    zero bytes."""

    first: int | None
    amount: int


@dataclass(frozen=True, slots=True)
class Table:
    """What a header says. Chunks are numbered as they are stored.

    `ids` holds ID bytes for each chunk, `plain` its length in the image and `stored` in the pack;
    both are the same where it is not compressed. `firsts` and `amounts` are the runs.
    """

    image_length: int
    image_sha256: Sha256
    average: int
    ids: bytes
    plain: "array[int]"
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

    `offsets` has one number more than there are chunks: where each begins in the pack, then the
    pack's end. `length` are the bytes before the first chunk, preamble included.
    """

    offsets: "array[int]"
    length: int

    @property
    def pack_length(self) -> int:
        """Bytes of the whole pack."""
        return self.offsets[-1]


def encode(table: Table) -> bytes:
    """The header's bytes, preamble included. Deterministic for one version of libzstd."""
    lengths = zip(table.plain, table.stored, strict=True)
    kept = array("I", (0 if stored == plain else stored for plain, stored in lengths))
    body = b"".join(
        (
            _FIXED.pack(
                table.image_length,
                bytes.fromhex(table.image_sha256),
                table.average,
                len(table.plain),
                len(table.firsts),
            ),
            table.ids,
            _planes(table.plain, 3),
            _planes(kept, 3),
            _planes(table.firsts, 4),
            _planes(table.amounts, 4),
        )
    )
    packed = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress(body)
    return _PREAMBLE.pack(MAGIC, len(packed), len(body)) + packed


def header_length(beginning: bytes) -> int:
    """Bytes before the first chunk, told by a pack's first PREAMBLE bytes. Raises PackError."""
    return PREAMBLE + _announced(beginning)[0]


def parse(raw: bytes, pack_length: int) -> Header:
    """The table at the beginning of `raw`; the pack is said to have `pack_length` bytes.

    `raw` has at least `header_length` bytes; what follows them is not looked at. Raises PackError
    for anything but a table each number of which is right.
    """
    body, length = _body(raw)
    image_length, sha256, average, chunks, runs = _FIXED.unpack_from(body)
    _require(1 <= image_length <= MOST_IMAGE, f"an image of {image_length} bytes")
    _require(
        LEAST_AVERAGE <= average <= MOST_AVERAGE and average.bit_count() == 1,
        f"chunks of {average} bytes on average",
    )
    _require(chunks <= MOST_CHUNKS, f"{chunks} chunks")
    _require(1 <= runs <= MOST_RUNS, f"{runs} runs")
    expected = _FIXED.size + chunks * (ID + 6) + runs * 8
    _require(len(body) == expected, f"a table of {len(body)} bytes for which {expected} are right")
    at = _FIXED.size + chunks * ID
    plain = _numbers(body, at, chunks, 3)
    stored = _stored(plain, _numbers(body, at + chunks * 3, chunks, 3), average * SPREAD)
    at += chunks * 6
    header = Header(
        image_length=image_length,
        image_sha256=Sha256(sha256.hex()),
        average=average,
        ids=body[_FIXED.size : _FIXED.size + chunks * ID],
        plain=plain,
        stored=stored,
        firsts=_numbers(body, at, runs, 4),
        amounts=_numbers(body, at + runs * 4, runs, 4),
        offsets=array("Q", accumulate(stored, initial=length)),
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
    """(the table, bytes before the first chunk)."""
    packed, plain = _announced(raw)
    length = PREAMBLE + packed
    _require(len(raw) >= length, f"{len(raw)} bytes; the header has {length}")
    frame = raw[PREAMBLE:length]
    return expanded(frame, plain, "the header", zstandard.ZstdDecompressor()), length


def _stored(plain: "array[int]", stored: "array[int]", most: int) -> "array[int]":
    """The stored lengths, those of chunks that are not compressed filled in."""
    if not plain:
        return stored
    _require(min(plain) >= 1, "an empty chunk")
    _require(max(plain) <= most, f"a chunk of {max(plain)} bytes where {most} are the most")
    whole = array("I", (kept or length for length, kept in zip(plain, stored, strict=True)))
    _require(
        all(kept < length for length, kept in zip(plain, stored, strict=True)),
        "a chunk that is longer than its plain bytes",
    )
    return whole


def _check_runs(header: Header) -> None:
    """Raises PackError unless runs use each chunk, no other, and make exactly the image."""
    before = array("Q", accumulate(header.plain, initial=0))
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
