import hashlib

import msgpack
import pytest

from p2pupd.errors import ProtocolError
from p2pupd.wire.bundle import MAX_BYTES, MAX_FILES, Bundle, decode, digest, encode

FILES = {"timestamp.json": b"{}", "1.root.json": b"r", "7.snapshot.json": b"s", "4.a-b_c.json": b""}
NO_NAMES = [
    "",
    "root.json",
    "0.root.json",
    "01.root.json",
    "1.root.JSON",
    "1.Root.json",
    "1.root.json\n",
    "../1.root.json",
    "1.root.json/",
    "1.a/b.json",
    "1..json",
    "1.é.json",
    "9999999999.root.json",
    f"1.{'a' * 65}.json",
]


def packed(**content: object) -> bytes:
    raw: bytes = msgpack.packb(dict(sorted(content.items())))
    return raw


def test_a_bundle_comes_back_byte_for_byte() -> None:
    assert decode(encode(Bundle(FILES))).files == FILES


def test_the_digest_is_that_of_the_canonical_encoding_whatever_the_order() -> None:
    turned = dict(reversed(FILES.items()))
    raw = encode(Bundle(FILES))
    assert encode(Bundle(turned)) == raw
    assert digest(raw) == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_is_no_metadata_file_is_refused_both_ways(name: str) -> None:
    with pytest.raises(ProtocolError, match="not the name"):
        encode(Bundle({name: b""}))
    with pytest.raises(ProtocolError, match="not the name"):
        decode(packed(v=1, files={name: b""}))


def test_a_name_that_stands_twice_is_refused() -> None:
    entry = msgpack.packb("1.root.json") + msgpack.packb(b"x")
    raw = b"\x82" + msgpack.packb("files") + b"\x82" + entry * 2 + msgpack.packb("v") + b"\x01"
    with pytest.raises(ProtocolError, match="stands twice"):
        decode(raw)


@pytest.mark.parametrize("end", [1, 10, 40])
def test_a_truncated_bundle_is_refused(end: int) -> None:
    with pytest.raises(ProtocolError):
        decode(encode(Bundle(FILES))[:-end])


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (packed(v=2, files={}), "version 1"),
        (packed(v=True, files={}), "canonical"),
        (packed(v=1), "version 1"),
        (packed(v=1, files={}, more=1), "version 1"),
        (msgpack.packb([1]), "version 1"),
        (packed(v=1, files=[]), "must be a map"),
        (packed(v=1, files={"1.root.json": "text"}), "not a byte string"),
        (msgpack.packb({"v": 1, "files": {}}), "canonical"),
        (packed(v=1, files={f"{n + 1}.root.json": b"" for n in range(MAX_FILES + 1)}), "at most"),
    ],
)
def test_what_is_no_canonical_bundle_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        decode(raw)


def test_an_endless_bundle_is_neither_read_nor_made() -> None:
    with pytest.raises(ProtocolError, match="at most"):
        decode(b"\xc6" + bytes(MAX_BYTES))
    with pytest.raises(ProtocolError, match="at most"):
        encode(Bundle({"1.root.json": bytes(MAX_BYTES)}))
