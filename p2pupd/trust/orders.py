"""Operators' orders: believed where the key that signed them is one of the site's operators."""

import re
from collections.abc import Collection
from typing import Final

from p2pupd.errors import ProtocolError, RecordError
from p2pupd.model.fleet import Stamp
from p2pupd.model.ids import Realm
from p2pupd.model.orders import Order
from p2pupd.trust.envelope import OVERHEAD, Envelope, enclosed, pae
from p2pupd.trust.keys import NaClSigner
from p2pupd.trust.records import stamp_of
from p2pupd.wire import orders

PAYLOAD_TYPE: Final = "application/x-p2pupd-order"
MAX_BYTES: Final = orders.MAX_BYTES + OVERHEAD
"""Longest envelope of an order."""
OPERATOR_PATTERN: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
"""An operator's public key in the configuration and in an Order."""


def sign(order: Order, signer: NaClSigner) -> bytes:
    """The envelope of an order. Raises ValueError where another key than its operator's signs."""
    public = signer.public_key.keyval["public"]
    if order.operator != public:
        raise ValueError("an order is signed by its operator only")
    payload = orders.encode(order)
    signature = signer.sign(pae(PAYLOAD_TYPE, payload)).signature
    return enclosed(PAYLOAD_TYPE, payload, bytes.fromhex(public), bytes.fromhex(signature))


def verify(
    envelope: Envelope, realm: Realm, site: str, operators: Collection[str]
) -> tuple[Order, Stamp]:
    """The order in a message whose signature is right, and which of its operator's it is.

    Raises RecordError with reason `malformed`, `other-realm`, `other-site` or `unknown-operator`.
    """
    if envelope.type != PAYLOAD_TYPE:
        raise RecordError(f"{envelope.type!r} is no order", reason="malformed")
    operator = envelope.key.encode().hex()
    if operator not in operators:
        raise RecordError(
            f"the key {operator[:16]} is none of site.operators", reason="unknown-operator"
        )
    try:
        order = orders.decode(envelope.payload, operator)
    except ProtocolError as error:
        raise RecordError(f"the order of {operator[:16]} is malformed: {error}") from error
    if order.realm != realm:
        raise RecordError(f"the order is for realm {order.realm}", reason="other-realm")
    if order.site != site:
        raise RecordError(f"the order is for the site {order.site!r}", reason="other-site")
    return order, stamp_of(order.epoch, order.sequence, envelope.payload)
