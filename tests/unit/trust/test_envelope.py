from typing import Any

import pytest

from p2pupd.errors import RecordError
from p2pupd.trust.envelope import OVERHEAD, pae, seal, unseal
from p2pupd.wire import codec
from tests.saying import device

KEY = device(1).signing_key
LIMIT = 1024


def _changed(**fields: Any) -> bytes:
    return codec.pack(codec.unpack(seal("kind", b"payload", KEY), LIMIT) | fields)


def test_the_encoding_that_is_signed_is_that_of_dsse() -> None:
    said = pae("http://example.com/HelloWorld", b"hello world")
    assert said == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_what_was_sealed_is_unsealed_with_its_key() -> None:
    raw = seal("kind", b"payload", KEY)
    envelope = unseal(raw, LIMIT)
    assert (envelope.type, envelope.payload) == ("kind", b"payload")
    assert envelope.key == KEY.verify_key
    assert len(seal("k" * 64, b"payload", KEY)) <= len(b"payload") + OVERHEAD


@pytest.mark.parametrize(
    "fields",
    [
        {"p": b"another"},
        {"t": "another"},
        {"k": device(2).signing_key.verify_key.encode()},
        {"s": b"\0" * 64},
    ],
)
def test_a_forged_message_does_not_count(fields: dict[str, Any]) -> None:
    with pytest.raises(RecordError) as refused:
        unseal(_changed(**fields), LIMIT)
    assert refused.value.reason == "forged"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        codec.pack([1]),
        _changed(more=1),
        _changed(t=b"kind"),
        _changed(t="k" * 65),
        _changed(p="payload"),
        _changed(k=b"short"),
        _changed(s=b"short"),
    ],
)
def test_a_malformed_message_does_not_count(raw: bytes) -> None:
    with pytest.raises(RecordError) as refused:
        unseal(raw, LIMIT)
    assert refused.value.reason == "malformed"


def test_nobody_else_can_spell_a_message_anew() -> None:
    raw = seal("kind", b"payload", KEY)
    longer = raw.replace(b"\xa4kind", b"\xd9\x04kind")
    assert longer != raw
    with pytest.raises(RecordError) as refused:
        unseal(longer, LIMIT)
    assert refused.value.reason == "malformed"


def test_an_oversized_message_is_not_looked_at() -> None:
    with pytest.raises(RecordError) as refused:
        unseal(b"\0" * (LIMIT + 1), LIMIT)
    assert refused.value.reason == "oversized"
