"""A device's newest lines of history as bytes: the payload of a signed message.

`{v: 1, realm, at, lines: [[at, event, {name: text}]...]}`, the oldest line first.
"""

from typing import Final

from p2pupd.errors import ProtocolError
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.model.logbook import Logbook, LogLine
from p2pupd.wire import codec
from p2pupd.wire.messages import REALM_PATTERN
from p2pupd.wire.records import MOST, clipped

VERSION: Final = 1
MAX_BYTES: Final = 32 * 1024
MAX_LINES: Final = 200
MAX_FIELDS: Final = 24
EVENT_BYTES: Final = 64
NAME_BYTES: Final = 32
TEXT_BYTES: Final = 256


def fitted(book: Logbook) -> Logbook:
    """What of it can be encoded: its newest lines, their texts clipped."""
    lines = tuple(map(_clipped, book.lines))[-MAX_LINES:]
    while len(_encoded(book, lines)) > MAX_BYTES:
        lines = lines[1 + len(lines) // 16 :]
    return Logbook(book.device, book.realm, min(max(0, book.at), MOST), lines)


def encode(book: Logbook) -> bytes:
    """A book that is `fitted`."""
    return _encoded(book, book.lines)


def decode(raw: bytes, device: DeviceId) -> Logbook:
    """What `device` has signed. Raises ProtocolError."""
    fields = codec.unpack(raw, MAX_BYTES)
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        raise ProtocolError(f"no lines of history of version {VERSION}")
    realm, lines = fields.get("realm"), fields.get("lines")
    if not isinstance(realm, str) or REALM_PATTERN.fullmatch(realm) is None:
        raise ProtocolError("`realm` is no realm")
    if not isinstance(lines, list) or len(lines) > MAX_LINES:
        raise ProtocolError(f"`lines` is no list of at most {MAX_LINES}")
    return Logbook(device, Realm(realm), _time(fields.get("at")), tuple(map(_line, lines)))


def _encoded(book: Logbook, lines: tuple[LogLine, ...]) -> bytes:
    rows = [[each.at, each.event, dict(each.fields)] for each in lines]
    return codec.pack({"v": VERSION, "realm": book.realm, "at": book.at, "lines": rows})


def _clipped(line: LogLine) -> LogLine:
    fields = tuple(
        (clipped(name, NAME_BYTES), clipped(text, TEXT_BYTES)) for name, text in line.fields
    )
    kept = sorted(dict(fields[:MAX_FIELDS]).items())
    return LogLine(min(max(0, line.at), MOST), clipped(line.event, EVENT_BYTES), tuple(kept))


def _line(row: object) -> LogLine:
    match row:
        case [at, str() as event, dict() as fields] if len(fields) <= MAX_FIELDS:
            kept = tuple(
                (_text(name, NAME_BYTES), _text(text, TEXT_BYTES)) for name, text in fields.items()
            )
            return LogLine(_time(at), _text(event, EVENT_BYTES), kept)
    raise ProtocolError("a line is not a time, an event and its fields")


def _text(value: object, most: int) -> str:
    if not isinstance(value, str) or len(value.encode()) > most or not value.isprintable():
        raise ProtocolError(f"a text of a line is not printable, or longer than {most} bytes")
    return value


def _time(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST:
        raise ProtocolError("`at` is not a time")
    return value
