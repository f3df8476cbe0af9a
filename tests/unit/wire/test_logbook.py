"""Lines of history as bytes: bounded, printable, the newest first to stay."""

from typing import Any

import pytest

from p2pupd.errors import ProtocolError
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.model.logbook import Logbook, LogLine
from p2pupd.wire import codec
from p2pupd.wire.logbook import MAX_BYTES, MAX_LINES, TEXT_BYTES, decode, encode, fitted

ME = DeviceId("a" * 52)
REALM = Realm("0123456789abcdef")
LINE = LogLine(7, "order.taken", (("operator", "f"), ("order", "hold")))


def book(*lines: LogLine) -> Logbook:
    return Logbook(ME, REALM, 9, lines)


def test_lines_come_back_as_they_were_told() -> None:
    assert decode(encode(book(LINE, LINE)), ME) == book(LINE, LINE)


def test_only_the_newest_lines_are_told() -> None:
    lines = tuple(LogLine(at, "daemon.ready") for at in range(MAX_LINES + 5))
    assert fitted(book(*lines)).lines == lines[5:]


def test_long_lines_take_the_room_of_old_ones() -> None:
    text = "x" * TEXT_BYTES
    long = tuple((f"name{each}", text) for each in range(10))
    lines = tuple(LogLine(at, "big", long) for at in range(MAX_LINES))
    told = fitted(book(*lines)).lines
    assert lines[-len(told) :] == told
    assert MAX_BYTES // 2 < len(encode(book(*told))) <= MAX_BYTES


def test_what_no_screen_shows_is_told_otherwise_and_what_is_long_is_clipped() -> None:
    wild = LogLine(-1, "e" * 99, (("path", "\x1b[2J"), ("text", "y" * 999)))
    [line] = fitted(book(wild)).lines
    assert line == LogLine(0, "e" * 64, (("path", "?[2J"), ("text", "y" * TEXT_BYTES)))
    assert decode(encode(book(line)), ME).lines == (line,)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"realm": "other"},
        {"realm": 1},
        {"at": -1},
        {"at": True},
        {"lines": None},
        {"lines": [[1, "e", {}]] * (MAX_LINES + 1)},
        {"lines": [[1, "e"]]},
        {"lines": [["1", "e", {}]]},
        {"lines": [[1, "e\n", {}]]},
        {"lines": [[1, "e", {"a": 1}]]},
        {"lines": [[1, "e", {"a": "x" * (TEXT_BYTES + 1)}]]},
        {"lines": [[1, "e", {str(each): "" for each in range(25)}]]},
    ],
)
def test_what_is_malformed_is_refused(changes: dict[str, Any]) -> None:
    said = {"v": 1, "realm": REALM, "at": 1, "lines": []} | changes
    with pytest.raises(ProtocolError):
        decode(codec.pack(said), ME)


def test_what_is_no_map_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode(codec.pack([]), ME)
