"""A device's newest lines of history as bytes: the payload of a signed message.

`{v: 1, realm, at, lines: [[at, event, {name: text}]...]}`, the oldest line first.
"""

from typing import Final

from p2pupd.errors import ProtocolError
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.model.logbook import Logbook, LogLine
from p2pupd.wire import codec
from p2pupd.wire.fields import array, matching, number, printable, versioned
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
    fields = versioned(codec.unpack(raw, MAX_BYTES), VERSION, "lines of history")
    return Logbook(
        device,
        realm=Realm(matching(fields.get("realm"), REALM_PATTERN, "realm")),
        at=number(fields.get("at"), MOST, "at"),
        lines=array(fields.get("lines"), MAX_LINES, _line, "lines"),
    )


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
                (printable(name, NAME_BYTES, "name"), printable(text, TEXT_BYTES, name))
                for name, text in fields.items()
            )
            return LogLine(number(at, MOST, "at"), printable(event, EVENT_BYTES, "event"), kept)
    raise ProtocolError("a line is not a time, an event and its fields")
