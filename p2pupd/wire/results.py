"""What a stick carries home: the signed records of a floor, as one device holds them."""

from dataclasses import dataclass
from typing import Final

from p2pupd.errors import ProtocolError
from p2pupd.wire import codec
from p2pupd.wire.records import MOST
from p2pupd.wire.sync import Item

VERSION: Final = 1
MAX_BYTES: Final = 16 * 1024 * 1024
PAGE: Final = 512
"""Items of one list; there may be as many lists."""


@dataclass(frozen=True, slots=True)
class Results:
    """`at` is when the writer wrote them, in Unix seconds by its clock: a claim."""

    at: int
    items: tuple[Item, ...]


def encode(results: Results) -> bytes:
    """As written. Raises ProtocolError where it is more than MAX_BYTES."""
    rows = [[each.raw, each.age] for each in results.items]
    pages = [rows[start : start + PAGE] for start in range(0, len(rows), PAGE)]
    raw = codec.pack({"v": VERSION, "at": results.at, "i": pages})
    if len(raw) > MAX_BYTES:
        raise ProtocolError(f"results of {len(raw)} bytes; at most {MAX_BYTES} are written")
    return raw


def decode(raw: bytes) -> Results:
    """What was written, its signatures not yet looked at. Raises ProtocolError."""
    fields = codec.unpack(raw, MAX_BYTES)
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        raise ProtocolError(f"not results of version {VERSION}")
    at, pages = fields.get("at"), fields.get("i")
    if not isinstance(at, int) or isinstance(at, bool) or not 0 <= at <= MOST:
        raise ProtocolError("`at` is not a time")
    if not isinstance(pages, list) or not all(isinstance(page, list) for page in pages):
        raise ProtocolError("`i` is not lists of items")
    return Results(at, tuple(_item(row) for page in pages for row in page))


def _item(row: object) -> Item:
    match row:
        case [bytes() as raw, int() as age] if not isinstance(age, bool) and 0 <= age <= MOST:
            return Item(raw, age)
    raise ProtocolError("an item is not an envelope and its age")
