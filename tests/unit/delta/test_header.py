"""A header says what it said when it was written; whatever else it says is refused."""

import random
import struct
from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import zstandard

from p2pupd.delta.header import ZEROS, Run, Table, encode, header_length, parse
from p2pupd.delta.limits import ID, MAGIC, MOST_CHUNKS, MOST_HEADER, MOST_RUNS, Cutting
from p2pupd.errors import PackError
from p2pupd.model.ids import Sha256

TABLE = Table(
    image_length=4096 + 2 * 5000 + 3000 + 700,
    image_sha256=Sha256("ab" * 32),
    cutting=Cutting.CONTENT,
    average=4096,
    ids=bytes(range(3 * ID)),
    plain=array("I", [5000, 3000, 700]),
    counts=array("I", [2, 1]),
    stored=array("I", [1200, 700]),
    firsts=array("I", [0, ZEROS, 0]),
    amounts=array("I", [1, 4096, 3]),
)
BODY = struct.Struct("<Q32sIIIII")


def _pack_length(table: Table) -> int:
    return len(encode(table)) + sum(table.stored)


def _parsed(table: Table) -> Any:
    return parse(encode(table), _pack_length(table))


def test_what_was_written_is_read() -> None:
    header = _parsed(TABLE)
    assert header.length == header_length(encode(TABLE)) == len(encode(TABLE))
    assert header.pack_length == header.length + 1900
    assert list(header.offsets) == [header.length, header.length + 1200, header.length + 1900]
    assert list(header.stored) == [1200, 700]
    assert [header.chunks_of(frame) for frame in range(header.frames)] == [range(2), range(2, 3)]
    assert [header.frame_of(chunk) for chunk in range(header.chunks)] == [0, 0, 1]
    assert [header.plain_length(frame) for frame in range(header.frames)] == [8000, 700]
    assert [*header.runs()] == [Run(0, 1), Run(None, 4096), Run(0, 3)]
    assert header.id_of(1) == bytes(range(ID, 2 * ID))
    assert header.image_sha256 == "ab" * 32
    assert header.chunks == 3


def test_an_image_of_zeros_needs_no_chunk() -> None:
    none = array("I")
    table = replace(
        TABLE,
        image_length=7,
        ids=b"",
        plain=none,
        counts=none,
        stored=none,
        firsts=array("I", [ZEROS]),
        amounts=array("I", [7]),
    )
    assert _parsed(table).pack_length == len(encode(table))


def test_what_follows_the_header_is_not_looked_at() -> None:
    assert parse(encode(TABLE) + b"chunks", _pack_length(TABLE)).chunks == 3


def _u32(*numbers: int) -> "array[int]":
    return array("I", numbers)


LIES: dict[str, dict[str, Any]] = {
    "no image": {"image_length": 0},
    "endless image": {"image_length": (1 << 40) + 1},
    "image longer than its runs": {"image_length": 20000},
    "image shorter than its runs": {"image_length": 9000},
    "average that is no power of two": {"average": 5000},
    "cut in a way of the future": {"cutting": 2},
    "average of one byte": {"average": 1},
    "average of a gigabyte": {"average": 1 << 30},
    "empty chunk": {"plain": _u32(0, 3000, 700)},
    "chunk longer than the average allows": {"plain": _u32(17000, 3000, 700)},
    "frame without a chunk": {"counts": _u32(0, 3)},
    "frames of fewer chunks than there are": {"counts": _u32(1, 1)},
    "frame longer than any may be": {
        "average": 1 << 18,
        "plain": _u32(1 << 20, 1, 700),
    },
    "stored longer than plain": {"stored": _u32(8001, 700)},
    "run beyond the last chunk": {"amounts": _u32(1, 4096, 4)},
    "run from beyond the last chunk": {"firsts": _u32(0, ZEROS, 7)},
    "empty run": {"amounts": _u32(1, 0, 2)},
    "chunk that nobody needs": {
        "firsts": _u32(0),
        "amounts": _u32(2),
        "image_length": 8000,
    },
    "no run": {"firsts": _u32(), "amounts": _u32()},
    "more ids than chunks": {"ids": bytes(4 * ID)},
    "runs of small chunks without an end": {
        "plain": _u32(1, 1),
        "ids": bytes(2 * ID),
        "counts": _u32(1, 1),
        "stored": _u32(1, 1),
        "firsts": _u32(*[0] * 100),
        "amounts": _u32(*[2] * 100),
        "image_length": 200,
    },
    "more zeros than the image has": {"amounts": _u32(1, 1 << 31, 3)},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_table_that_lies_is_refused(lie: dict[str, Any]) -> None:
    with pytest.raises(PackError, match="its table tells of"):
        _parsed(replace(TABLE, **lie))


def test_frames_of_more_chunks_than_there_are_are_refused() -> None:
    body = bytearray(zstandard.ZstdDecompressor().decompress(encode(TABLE)[16:]))
    at = BODY.size + 3 * (ID + 3)
    assert body[at : at + 4] == b"\2\1\0\0"
    body[at + 1] = 2
    raw = _framed(bytes(body))
    with pytest.raises(PackError, match="frames of 4 chunks, and 3 chunks"):
        parse(raw, len(raw) + 1900)


@pytest.mark.parametrize("off_by", [-1900, -1, 1])
def test_a_pack_that_is_cut_short_or_goes_on_is_refused(off_by: int) -> None:
    with pytest.raises(PackError, match="but the pack has"):
        parse(encode(TABLE), _pack_length(TABLE) + off_by)


def _framed(body: bytes, claim: int | None = None) -> bytes:
    packed = zstandard.ZstdCompressor().compress(body)
    return struct.pack("<8sII", MAGIC, len(packed), claim or len(body)) + packed


def _preamble(packed: int, plain: int, magic: bytes = MAGIC) -> bytes:
    return struct.pack("<8sII", magic, packed, plain)


BAD: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "too short": lambda: encode(TABLE)[:10],
    "other magic": lambda: _preamble(100, 100, b"p2ppack\x02"),
    "too long": lambda: _preamble(MOST_HEADER + 1, 100),
    "empty": lambda: _preamble(0, 100),
    "expands too far": lambda: _preamble(100, MOST_HEADER + 1),
    "expands to nothing": lambda: _preamble(100, 3),
    "cut short": lambda: encode(TABLE)[:-1],
    "no frame": lambda: _preamble(100, 100) + bytes(100),
    "bomb": lambda: _framed(bytes(1 << 20), 1000),
    "too many chunks": lambda: _framed(BODY.pack(1, bytes(32), 0, 4096, MOST_CHUNKS + 1, 1, 1)),
    "too many runs": lambda: _framed(BODY.pack(1, bytes(32), 0, 4096, 1, 1, MOST_RUNS + 1)),
    "more frames than chunks": lambda: _framed(BODY.pack(1, bytes(32), 0, 4096, 3, 4, 1)),
    "table cut short": lambda: _framed(BODY.pack(1, bytes(32), 0, 4096, 100, 9, 1) + bytes(50)),
}


@pytest.mark.parametrize("made", BAD.values(), ids=BAD.keys())
def test_bytes_that_are_no_header_are_refused(made: Callable[[], bytes]) -> None:
    with pytest.raises(PackError):
        parse(made(), 10_000)


def test_no_damage_to_a_header_does_anything_but_refuse_it_or_leave_it_sound() -> None:
    good, dice = encode(TABLE), random.Random(4)
    for _ in range(3000):
        raw = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        try:
            header = parse(bytes(raw), _pack_length(TABLE))
        except PackError:
            continue
        assert sum(_lengths(header)) == header.image_length


def test_no_damage_to_a_table_does_anything_but_refuse_it_or_leave_it_sound() -> None:
    good, dice = zstandard.ZstdDecompressor().decompress(encode(TABLE)[16:]), random.Random(5)
    for _ in range(3000):
        body = bytearray(good)
        for _ in range(dice.randint(1, 3)):
            body[dice.randrange(len(body))] = dice.choice((0, 1, 2, 127, 128, 255))
        raw = _framed(bytes(body))
        try:
            header = parse(raw, len(raw) + 1900)
        except PackError:
            continue
        assert sum(_lengths(header)) == header.image_length


def _lengths(header: Any) -> list[int]:
    return [
        run.amount if run.first is None else sum(header.plain[run.first : run.first + run.amount])
        for run in header.runs()
    ]
