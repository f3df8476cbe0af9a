"""Orders on the wire: of one spelling, each about its own thing."""

from typing import Any

import pytest

from p2pupd.errors import ProtocolError
from p2pupd.model.ids import ComponentId, DeviceId, Realm
from p2pupd.model.orders import Order, OrderKind
from p2pupd.wire import codec
from p2pupd.wire.orders import decode, encode

ANNE = "a" * 64
DEVICE = DeviceId("d" * 52)
HOLD = Order(OrderKind.HOLD, Realm("0" * 16), "hall", ANNE, 1, 5, ComponentId("os"), 7)
RETIRE = Order(OrderKind.RETIRE, Realm("0" * 16), "", ANNE, 1, 5, device=DEVICE, value=0)
CAP = Order(OrderKind.SEED_CAP, Realm("0" * 16), "", ANNE, 1, 5, value=1 << 20)


GONE = Order(OrderKind.WRITE_OFF, Realm("0" * 16), "", ANNE, 1, 5, value=3600)


@pytest.mark.parametrize("order", [HOLD, RETIRE, CAP, GONE])
def test_an_order_comes_back(order: Order) -> None:
    assert decode(encode(order), ANNE) == order


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"more": 1},
        {"kind": "explode"},
        {"kind": "retire"},
        {"kind": "seed-cap"},
        {"kind": "write-off"},
        {"kind": "write-off", "co": "", "rel": 0, "val": 3599},
        {"kind": "write-off", "co": "", "rel": 0, "val": 316224001},
        {"realm": "x"},
        {"site": 5},
        {"site": "a\nb"},
        {"site": "x" * 65},
        {"e": -1},
        {"n": True},
        {"co": "../os"},
        {"co": ""},
        {"dev": DEVICE},
        {"dev": "short"},
        {"val": 2},
        {"rel": "7"},
    ],
)
def test_anything_else_is_refused(changes: dict[str, Any]) -> None:
    fields = codec.unpack(encode(HOLD), 512) | changes
    with pytest.raises(ProtocolError):
        decode(codec.pack(fields), ANNE)


def test_what_is_no_map_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not an order"):
        decode(codec.pack([]), ANNE)
