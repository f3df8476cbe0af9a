"""What a stick carries home: the signed records of a floor, as one device holds them, and lines of
its devices' histories, each signed by its device."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from p2pupd.errors import ProtocolError
from p2pupd.wire import codec
from p2pupd.wire.fields import number, versioned
from p2pupd.wire.records import MOST
from p2pupd.wire.sync import Item, read_item

VERSION: Final = 1
MAX_BYTES: Final = 16 * 1024 * 1024
ROW_BYTES: Final = 16
"""What an item or a log needs beside its bytes, and the file beside both, at most."""
PAGE: Final = 512
"""Items of one list; there may be as many lists."""


@dataclass(frozen=True, slots=True)
class Results:
    """`at` is when the writer wrote them, in Unix seconds by its clock: a claim. `logs` are
    envelopes of lines of history (trust.logbook)."""

    at: int
    items: tuple[Item, ...]
    logs: tuple[bytes, ...] = ()


def fitting(items: Iterable[Item], logs: Sequence[bytes]) -> tuple[Item, ...]:
    """As many of the items, from the first, as a file takes with the logs."""
    room = MAX_BYTES - ROW_BYTES * (len(logs) + 2 * PAGE) - sum(map(len, logs))
    found: list[Item] = []
    for each in items:
        room -= len(each.raw) + ROW_BYTES
        if room < 0:
            break
        found.append(each)
    return tuple(found)


def encode(results: Results) -> bytes:
    """As written. Raises ProtocolError where it is more than MAX_BYTES."""
    rows = [[each.raw, each.age] for each in results.items]
    fields = {"v": VERSION, "at": results.at, "i": _pages(rows), "l": _pages(results.logs)}
    raw = codec.pack(fields)
    if len(raw) > MAX_BYTES:
        raise ProtocolError(f"results of {len(raw)} bytes; at most {MAX_BYTES} are written")
    return raw


def decode(raw: bytes) -> Results:
    """What was written, its signatures not yet looked at. Raises ProtocolError."""
    fields = versioned(codec.unpack(raw, MAX_BYTES), VERSION, "results")
    at = number(fields.get("at"), MOST, "at")
    items = tuple(read_item(row, MOST) for row in _listed(fields, "i"))
    logs = tuple(_listed(fields, "l")) if "l" in fields else ()
    if not all(isinstance(each, bytes) for each in logs):
        raise ProtocolError("`l` is not envelopes")
    return Results(at, items, logs)


def _pages(rows: Sequence[Any]) -> list[Sequence[Any]]:
    return [rows[start : start + PAGE] for start in range(0, len(rows), PAGE)]


def _listed(fields: dict[str, Any], name: str) -> Iterator[Any]:
    pages = fields.get(name)
    if not isinstance(pages, list) or not all(isinstance(page, list) for page in pages):
        raise ProtocolError(f"`{name}` is not lists of items")
    return (row for page in pages for row in page)
