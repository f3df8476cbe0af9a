"""An operator's order in msgpack: small, strictly checked, of one spelling."""

import re
from typing import Any, Final

from p2pupd.errors import ProtocolError
from p2pupd.model.ids import COMPONENT_PATTERN, ComponentId, DeviceId, Realm
from p2pupd.model.orders import Order, OrderKind
from p2pupd.wire import codec
from p2pupd.wire.messages import DEVICE_PATTERN, REALM_PATTERN
from p2pupd.wire.records import LAST_EPOCH, MOST, NAME_BYTES

VERSION: Final = 1
MAX_BYTES: Final = 512
KEYS: Final = {"v", "kind", "realm", "site", "e", "n", "co", "rel", "dev", "val"}


def encode(order: Order) -> bytes:
    """The payload to sign; the operator is not in it, because the key that signs tells."""
    return codec.pack(
        {
            "v": VERSION,
            "kind": str(order.kind),
            "realm": order.realm,
            "site": order.site,
            "e": order.epoch,
            "n": order.sequence,
            "co": order.component or "",
            "rel": order.release,
            "dev": order.device or "",
            "val": order.value,
        }
    )


def decode(raw: bytes, operator: str) -> Order:
    """The order in `raw`, signed by `operator`. Raises ProtocolError for anything else."""
    fields = codec.unpack(raw, MAX_BYTES)
    if not isinstance(fields, dict) or fields.keys() != KEYS or fields["v"] != VERSION:
        raise ProtocolError(f"not an order of version {VERSION}")
    try:
        kind = OrderKind(_text(fields, "kind"))
    except ValueError:
        raise ProtocolError("an order of an unknown kind") from None
    order = Order(
        kind=kind,
        realm=Realm(_matching(fields, "realm", REALM_PATTERN)),
        site=_text(fields, "site"),
        operator=operator,
        epoch=_number(fields, "e", LAST_EPOCH),
        sequence=_number(fields, "n", MOST),
        component=ComponentId(_matching(fields, "co", COMPONENT_PATTERN)) if fields["co"] else None,
        release=_number(fields, "rel", MOST),
        device=DeviceId(_matching(fields, "dev", DEVICE_PATTERN)) if fields["dev"] else None,
        value=_number(fields, "val", MOST),
    )
    _check(order)
    return order


def _check(order: Order) -> None:
    """Each kind is about its own thing, and about nothing else."""
    about_device = order.kind is OrderKind.RETIRE
    about_release = order.kind in (OrderKind.HOLD, OrderKind.RESUME, OrderKind.APPROVE)
    if (order.device is not None) is not about_device:
        raise ProtocolError(f"a {order.kind} names a device, or none, wrongly")
    if (order.component is not None) is not about_release or (order.release and not about_release):
        raise ProtocolError(f"a {order.kind} names a release, or none, wrongly")
    if order.value > 1 and order.kind is not OrderKind.SEED_CAP:
        raise ProtocolError(f"a {order.kind} has a value that it cannot have")


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields[key]
    if not isinstance(value, str) or len(value.encode()) > NAME_BYTES or not value.isprintable():
        raise ProtocolError(f"`{key}` is no printable text of at most {NAME_BYTES} bytes")
    return value


def _matching(fields: dict[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = _text(fields, key)
    if pattern.fullmatch(value) is None:
        raise ProtocolError(f"`{key}` is malformed")
    return value


def _number(fields: dict[str, Any], key: str, most: int) -> int:
    value = fields[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ProtocolError(f"`{key}` is not a whole number from 0 to {most}")
    return value
