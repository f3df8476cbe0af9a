"""Checks of fields: what is just within a limit is taken as it is, what is just beyond is not."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from p2pupd.errors import ProtocolError
from p2pupd.model.device import Role
from p2pupd.wire.fields import (
    array,
    exactly,
    matching,
    number,
    one_of,
    pieces,
    printable,
    versioned,
)

HEX = re.compile(r"[0-9a-f]{2}")
TEN = partial(number, most=10, what="x")
FOUR_BYTES_OF_TEXT = partial(printable, most=4, what="x")
TWO_DIGITS = partial(matching, pattern=HEX, what="x")
A_ROLE = partial(one_of, kind=Role, what="x")
TWO_BYTES = partial(exactly, length=2, what="x")
PAIRS = partial(pieces, length=2, most=3, what="x")
TENS = partial(array, most=2, read=TEN, what="x")
Check = Callable[[Any], object]


@pytest.mark.parametrize(
    ("check", "value", "taken"),
    [
        (TEN, 0, 0),
        (TEN, 10, 10),
        (FOUR_BYTES_OF_TEXT, "", ""),
        (FOUR_BYTES_OF_TEXT, "äö", "äö"),
        (TWO_DIGITS, "0f", "0f"),
        (A_ROLE, "seed", Role.SEED),
        (TWO_BYTES, b"ab", b"ab"),
        (PAIRS, b"", ()),
        (PAIRS, b"aabbcc", (b"aa", b"bb", b"cc")),
        (TENS, [], ()),
        (TENS, [1, 10], (1, 10)),
    ],
)
def test_what_is_within_its_limit_is_taken(check: Check, value: Any, taken: object) -> None:
    assert check(value) == taken


@pytest.mark.parametrize(
    ("check", "values", "why"),
    [
        (TEN, (-1, 11, True, "1", None), "`x` is not a whole number from 0 to 10"),
        (
            FOUR_BYTES_OF_TEXT,
            ("abcde", "äöa", "a\nb", "\x1b", "\udcff", b"a", 1, None),
            "`x` is not printable text of at most 4 bytes",
        ),
        (TWO_DIGITS, ("0", "0f0", "0f\n", "0F", b"0f", 0, None), "`x` is missing or malformed"),
        (A_ROLE, ("boss", b"seed", [], 1, None), "`x`: .* is not a valid Role"),
        (TWO_BYTES, (b"a", b"abc", "ab", None), "`x` is not 2 bytes"),
        (PAIRS, (b"a", b"aabbccdd", "aa", [], None), "`x` is not at most 3 times 2 bytes"),
        (TENS, ([1, 2, 3], (1, 2), {}, "12", None), "`x` is not a list of at most 2"),
        (TENS, ([11], [[1]]), "`x` is not a whole number from 0 to 10"),
    ],
)
def test_what_is_beyond_its_limit_is_refused(
    check: Check, values: tuple[Any, ...], why: str
) -> None:
    for value in values:
        with pytest.raises(ProtocolError, match=why):
            check(value)


def test_a_long_value_is_not_shown_whole() -> None:
    with pytest.raises(ProtocolError) as caught:
        A_ROLE("x" * 1000)
    assert len(str(caught.value)) < 100


def test_a_message_is_a_map_of_its_version() -> None:
    assert versioned({"v": 1, "more": 2}, 1, "a hello") == {"v": 1, "more": 2}
    for value in ({"v": 2}, {"v": "1"}, {}, [], [1], None):
        with pytest.raises(ProtocolError, match="not a hello of version 1"):
            versioned(value, 1, "a hello")
