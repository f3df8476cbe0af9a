"""The codec and the bundle: what is made is read back, and nothing else is canonical."""

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from p2pupd.errors import ProtocolError
from p2pupd.wire.bundle import NAME_PATTERN, Bundle, decode, encode
from p2pupd.wire.codec import pack, unpack
from p2pupd.wire.messages import decode_hello, decode_notify

LIMIT = 1 << 20
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
PLAIN = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | TEXT | st.binary()
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=10,
)
FILES = st.dictionaries(st.from_regex(NAME_PATTERN, fullmatch=True), st.binary(max_size=100))


@given(st.dictionaries(TEXT, PLAIN | st.lists(VALUES, max_size=3)))
def test_what_was_packed_comes_back_unless_it_is_nested_too_deep(value: Any) -> None:
    with suppress(ProtocolError):
        assert unpack(pack(value), LIMIT) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_one_error(raw: bytes) -> None:
    for read in (lambda it: unpack(it, LIMIT), decode, decode_hello, decode_notify):
        with suppress(ProtocolError):
            read(raw)


@given(FILES)
def test_a_bundle_comes_back(files: dict[str, bytes]) -> None:
    assert decode(encode(Bundle(files))).files == files


@given(FILES, st.data())
def test_a_bundle_that_was_touched_is_another_one_or_refused(
    files: dict[str, bytes], data: st.DataObject
) -> None:
    raw = bytearray(encode(Bundle(files)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with suppress(ProtocolError):
        assert decode(bytes(raw)).files != files
