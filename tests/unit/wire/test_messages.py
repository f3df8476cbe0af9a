from dataclasses import replace
from typing import Any

import pytest

from p2pupd.errors import ProtocolError
from p2pupd.model.device import Role
from p2pupd.model.ids import NO_MANIFEST, DeviceId, ManifestDigest, Realm
from p2pupd.wire import codec
from p2pupd.wire.messages import MAX_BYTES, Hello, Notify, decode_hello, decode_notify

ID = DeviceId("a" * 52)
DIGEST = ManifestDigest("0" * 64)
HELLO = Hello(ID, Realm("f" * 16), DIGEST, Role.SEED, 4600, 4601, "0.1.0")
NOTIFY = Notify(ID, DIGEST, 4600)


def altered(raw: bytes, **changes: Any) -> bytes:
    """The message with keys replaced, or left out where None."""
    fields: dict[str, Any] = codec.unpack(raw, MAX_BYTES) | changes
    return codec.pack({key: value for key, value in fields.items() if value is not None})


@pytest.mark.parametrize(
    "hello",
    [HELLO, replace(HELLO, manifest=NO_MANIFEST, port=0, bt_port=65535, uplink=True)],
)
def test_a_hello_comes_back(hello: Hello) -> None:
    assert decode_hello(hello.encode()) == hello


def test_a_notification_comes_back() -> None:
    assert decode_notify(NOTIFY.encode()) == NOTIFY
    with_uplink = replace(NOTIFY, uplink=True)
    assert decode_notify(with_uplink.encode()) == with_uplink
    without_manifest = replace(NOTIFY, manifest=NO_MANIFEST)
    assert decode_notify(without_manifest.encode()) == without_manifest


def test_who_does_not_speak_of_an_uplink_has_none() -> None:
    assert not decode_hello(altered(HELLO.encode(), up=None)).uplink
    assert not decode_notify(altered(NOTIFY.encode(), up=None)).uplink


def test_keys_of_a_later_version_are_ignored() -> None:
    assert decode_hello(altered(HELLO.encode(), later={"x": [1]})) == HELLO


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": None},
        {"id": "a" * 51},
        {"id": "A" * 52},
        {"id": 5},
        {"realm": "xyz"},
        {"manifest": "0" * 63},
        {"manifest": None},
        {"role": "boss"},
        {"role": None},
        {"port": 65536},
        {"port": -1},
        {"port": True},
        {"port": "80"},
        {"bt": None},
        {"version": "a b"},
        {"version": "x" * 33},
        {"up": 1},
    ],
)
def test_a_malformed_hello_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        decode_hello(altered(HELLO.encode(), **changes))


@pytest.mark.parametrize(
    "changes", [{"manifest": "00"}, {"manifest": None}, {"id": b"a"}, {"v": 0}]
)
def test_a_malformed_notification_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        decode_notify(altered(NOTIFY.encode(), **changes))


def test_a_message_that_is_no_map_or_too_long_is_refused() -> None:
    with pytest.raises(ProtocolError, match="version 1"):
        decode_hello(codec.pack([1]))
    with pytest.raises(ProtocolError, match="at most"):
        decode_notify(altered(NOTIFY.encode(), padding="x" * MAX_BYTES))
