import msgpack
import pytest

from p2pupd.errors import ProtocolError
from p2pupd.wire.codec import MAX_DEPTH, MAX_ENTRIES, pack, unpack

LIMIT = 100_000


def test_what_was_packed_comes_back() -> None:
    value = {"b": [1, -1, True, None], "a": {"text": "é", "raw": b"\x00"}, "c": 1 << 63}
    assert unpack(pack(value), LIMIT) == value


def test_the_order_of_keys_does_not_change_the_encoding_at_any_depth() -> None:
    one = {"b": 1, "a": [{"y": 1, "x": ({"q": 1, "p": 2},)}]}
    other = {"a": [{"x": [{"p": 2, "q": 1}], "y": 1}], "b": 1}
    assert pack(one) == pack(other)


def test_a_message_over_the_limit_is_not_read() -> None:
    with pytest.raises(ProtocolError, match="5 bytes; at most 4"):
        unpack(pack("abcd"), 4)


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(ProtocolError, match="'a' stands twice"):
        unpack(b"\x82\xa1a\x01\xa1a\x02", LIMIT)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "well-formed"),
        (b"\x81", "well-formed"),
        (b"\x01\x01", "well-formed"),
        (b"\xc1", "well-formed"),
        (b"\xa1\xff", "well-formed"),
        (b"\xdd\xff\xff\xff\xff", "well-formed"),
        (b"\xdf\xff\xff\xff\xff", "well-formed"),
        (b"\xc6\xff\xff\xff\xff", "well-formed"),
        (b"\x91" * 60_000, "well-formed"),
        (msgpack.packb({b"k": 1}), "keys must be text"),
        (msgpack.packb({1: 1}), "well-formed"),
        (msgpack.packb(1.5), "float"),
        (msgpack.packb([{"a": 1.5}]), "float"),
        (msgpack.packb(msgpack.ExtType(5, b"")), "extension type 5"),
        (msgpack.packb(msgpack.ExtType(5, b"long")), "well-formed|extension"),
        (msgpack.packb(msgpack.Timestamp(1)), "Timestamp|extension|well-formed"),
        (msgpack.packb([0] * (MAX_ENTRIES + 1)), "well-formed"),
        (msgpack.packb({str(key): 0 for key in range(MAX_ENTRIES + 1)}), "well-formed"),
    ],
)
def test_what_is_not_accepted_is_refused_with_one_error(raw: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        unpack(raw, LIMIT)


def test_a_value_may_stand_alone() -> None:
    assert [unpack(pack(each), LIMIT) for each in ("text", 7, None)] == ["text", 7, None]


def test_depth_is_bounded() -> None:
    fits = pack({"deep": nested(MAX_DEPTH)})
    assert unpack(fits, LIMIT) == {"deep": nested(MAX_DEPTH)}
    with pytest.raises(ProtocolError, match="deeper"):
        unpack(pack({"deep": nested(MAX_DEPTH + 1)}), LIMIT)


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth - 1):
        value = [value]
    return value
