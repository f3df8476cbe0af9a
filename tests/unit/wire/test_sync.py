from typing import Any

import pytest

from p2pupd.errors import ProtocolError
from p2pupd.wire import codec
from p2pupd.wire import sync as wire
from p2pupd.wire.sync import Answer, Ask, Item, decode_answer, decode_ask
from tests.saying import REALM

ITEM = Item(b"envelope", 7)
ASK = Ask(REALM, "a3", b"d" * 8, (ITEM,), (b"n" * 8, b"m" * 8))
ANSWER = Answer(b"d" * 8, b"r" * 8, {b"n" * 8: b"v" * 16}, (b"c" * 8,) * 16, (ITEM,))


@pytest.mark.parametrize("ask", [ASK, Ask(REALM, "", b"d" * 8)])
def test_a_question_comes_as_it_was_sent(ask: Ask) -> None:
    assert decode_ask(ask.encode()) == ask


@pytest.mark.parametrize("answer", [ANSWER, Answer(b"d" * 8, b"r" * 8)])
def test_an_answer_comes_as_it_was_sent(answer: Answer) -> None:
    assert decode_answer(answer.encode()) == answer


@pytest.mark.parametrize(
    "fields",
    [
        {"v": 2},
        {"realm": b""},
        {"part": 7},
        {"part": "xyz"},
        {"part": "a" * 17},
        {"d": b"short"},
        {"i": None},
        {"i": [[b"x", 1]] * (wire.MAX_ITEMS + 1)},
        {"i": [b"x"]},
        {"i": [[b"x"]]},
        {"i": [["text", 1]]},
        {"i": [[b"x", True]]},
        {"i": [[b"x", -1]]},
        {"i": [[b"x", wire.OLDEST + 1]]},
        {"w": b"123"},
        {"w": b"8" * 8 * (wire.MAX_WANTED + 1)},
        {"w": []},
    ],
)
def test_a_question_over_a_limit_is_refused(fields: dict[str, Any]) -> None:
    sent = codec.unpack(ASK.encode(), wire.MAX_BYTES) | fields
    with pytest.raises(ProtocolError):
        decode_ask(codec.pack(sent))


@pytest.mark.parametrize(
    "fields",
    [
        {"l": b"x" * 23},
        {"l": b"x" * 24 * (wire.MAX_LISTED + 1)},
        {"c": b"x" * 8},
        {"c": b"x" * 8 * 17},
        {"r": b""},
        {"i": "none"},
    ],
)
def test_an_answer_over_a_limit_is_refused(fields: dict[str, Any]) -> None:
    sent = codec.unpack(ANSWER.encode(), wire.MAX_BYTES) | fields
    with pytest.raises(ProtocolError):
        decode_answer(codec.pack(sent))


def test_a_message_without_end_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_ask(b"\0" * (wire.MAX_BYTES + 1))
