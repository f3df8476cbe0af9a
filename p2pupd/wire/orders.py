"""An operator's order in msgpack: small, strictly checked, of one spelling."""

from typing import Final

from p2pupd.errors import ProtocolError
from p2pupd.model.ids import COMPONENT_PATTERN, ComponentId, DeviceId, Realm
from p2pupd.model.orders import Order, OrderKind
from p2pupd.wire import codec
from p2pupd.wire.fields import matching, number, one_of, printable
from p2pupd.wire.messages import DEVICE_PATTERN, REALM_PATTERN
from p2pupd.wire.records import LAST_EPOCH, MOST, NAME_BYTES

VERSION: Final = 1
MAX_BYTES: Final = 512
SHORTEST_SILENCE: Final = 3600
LONGEST_SILENCE: Final = 10 * 366 * 86400
"""Seconds that a write-off can name: a restart is no silence."""
_BETWEEN: Final = {
    OrderKind.SEED_CAP: (0, MOST),
    OrderKind.WRITE_OFF: (SHORTEST_SILENCE, LONGEST_SILENCE),
}
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
    component, device = fields["co"], fields["dev"]
    order = Order(
        kind=one_of(fields["kind"], OrderKind, "kind"),
        realm=Realm(matching(fields["realm"], REALM_PATTERN, "realm")),
        site=printable(fields["site"], NAME_BYTES, "site"),
        operator=operator,
        epoch=number(fields["e"], LAST_EPOCH, "e"),
        sequence=number(fields["n"], MOST, "n"),
        component=ComponentId(matching(component, COMPONENT_PATTERN, "co")) if component else None,
        release=number(fields["rel"], MOST, "rel"),
        device=DeviceId(matching(device, DEVICE_PATTERN, "dev")) if device else None,
        value=number(fields["val"], MOST, "val"),
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
    least, most = _BETWEEN.get(order.kind, (0, 1))
    if not least <= order.value <= most:
        raise ProtocolError(f"a {order.kind} has a value that it cannot have")
