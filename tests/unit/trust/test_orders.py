"""Whose orders count."""

from dataclasses import replace

import pytest
from nacl.signing import SigningKey

from p2pupd.errors import RecordError
from p2pupd.model.ids import ComponentId, Realm
from p2pupd.model.orders import Order, OrderKind
from p2pupd.trust.envelope import seal, unseal
from p2pupd.trust.keys import NaClSigner
from p2pupd.trust.orders import MAX_BYTES, PAYLOAD_TYPE, sign, verify

ANNE, BERT = SigningKey(b"a" * 32), SigningKey(b"b" * 32)
OPERATOR = ANNE.verify_key.encode().hex()
REALM = Realm("0" * 16)
HOLD = Order(OrderKind.HOLD, REALM, "hall", OPERATOR, 1, 5, ComponentId("os"), 7)


def reason(raw: bytes, realm: Realm = REALM, site: str = "hall", operator: str = OPERATOR) -> str:
    with pytest.raises(RecordError) as caught:
        verify(unseal(raw, MAX_BYTES), realm, site, [operator])
    return caught.value.reason


def test_an_operators_order_counts() -> None:
    envelope = unseal(sign(HOLD, NaClSigner(ANNE)), MAX_BYTES)
    order, stamp = verify(envelope, REALM, "hall", [OPERATOR])
    assert order == HOLD
    assert (stamp.epoch, stamp.sequence) == (1, 5)


def test_orders_of_others_and_for_others_do_not_count() -> None:
    raw = sign(HOLD, NaClSigner(ANNE))
    assert reason(raw, operator=BERT.verify_key.encode().hex()) == "unknown-operator"
    assert reason(raw, realm=Realm("1" * 16)) == "other-realm"
    assert reason(raw, site="yard") == "other-site"
    assert reason(seal(PAYLOAD_TYPE, b"\x01", ANNE)) == "malformed"
    assert reason(seal("text/plain", b"", ANNE)) == "malformed"


def test_nobody_signs_in_anothers_name() -> None:
    with pytest.raises(ValueError, match="its operator only"):
        sign(replace(HOLD, operator="b" * 64), NaClSigner(ANNE))
