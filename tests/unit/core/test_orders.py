"""What a site's orders come to, in whatever order they arrive."""

from itertools import permutations
from typing import Any

from p2pupd.core.orders import NO_ORDERS, SiteOrders, shelf_key
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.model.orders import Order, OrderKind
from tests.builders import COMPONENT

ANNE, BERT = "a" * 64, "b" * 64
DEVICE = DeviceId("d" * 52)
REALM = Realm("0" * 16)


def order(kind: OrderKind, sequence: int, **changes: Any) -> Order:
    about: dict[str, Any] = {"component": COMPONENT, "release": 7}
    if kind is OrderKind.RETIRE:
        about = {"device": DEVICE}
    if kind is OrderKind.SEED_CAP:
        about = {"value": 1000}
    said: dict[str, Any] = {"operator": ANNE, "epoch": 1} | about | changes
    return Order(kind, REALM, "", sequence=sequence, **said)


def test_without_orders_nothing_is_ordered() -> None:
    assert NO_ORDERS.held(COMPONENT, 7) is None
    assert NO_ORDERS.resumed(COMPONENT, 7) == 0
    assert not NO_ORDERS.approved(COMPONENT, 7)
    assert NO_ORDERS.retired() == frozenset()
    assert NO_ORDERS.seed_cap() is None


def test_of_hold_and_resume_the_later_one_holds() -> None:
    said = [
        order(OrderKind.HOLD, 1),
        order(OrderKind.RESUME, 2, operator=BERT),
        order(OrderKind.HOLD, 3, operator=BERT),
    ]
    for count, held in ((1, 1), (2, None), (3, 3)):
        for mixed in permutations(said[:count]):
            found = SiteOrders(mixed).held(COMPONENT, 7)
            assert (found.sequence if found else None) == held
    assert SiteOrders(said).resumed(COMPONENT, 7) == 2
    assert SiteOrders(said).held(COMPONENT, 8) is None


def test_approval_is_for_one_release() -> None:
    orders = SiteOrders([order(OrderKind.APPROVE, 1)])
    assert orders.approved(COMPONENT, 7)
    assert not orders.approved(COMPONENT, 8)


def test_a_device_is_retired_until_that_is_taken_back() -> None:
    assert SiteOrders([order(OrderKind.RETIRE, 1)]).retired() == {DEVICE}
    back = order(OrderKind.RETIRE, 2, value=0)
    assert SiteOrders([back, order(OrderKind.RETIRE, 1)]).retired() == frozenset()


def test_the_last_seed_cap_holds() -> None:
    caps = [order(OrderKind.SEED_CAP, 1), order(OrderKind.SEED_CAP, 2, value=0, operator=BERT)]
    assert SiteOrders(caps[:1]).seed_cap() == 1000
    assert SiteOrders(caps).seed_cap() == 0


def test_orders_lie_by_operator_kind_and_subject() -> None:
    keys = {
        shelf_key(order(OrderKind.HOLD, 1)),
        shelf_key(order(OrderKind.RESUME, 1)),
        shelf_key(order(OrderKind.HOLD, 1, operator=BERT)),
        shelf_key(order(OrderKind.RETIRE, 1)),
        shelf_key(order(OrderKind.SEED_CAP, 1)),
    }
    assert len(keys) == 5
    assert shelf_key(order(OrderKind.HOLD, 9)) in keys


def test_an_order_is_told_in_words() -> None:
    assert order(OrderKind.HOLD, 1).label == "hold gateway-os release 7"
    assert order(OrderKind.RETIRE, 1).label == f"retire {DEVICE}"
    assert order(OrderKind.RETIRE, 1, value=0).label == f"retire no more {DEVICE}"
    assert order(OrderKind.SEED_CAP, 1).label == "seed-cap 1000 bytes/s"
    assert order(OrderKind.SEED_CAP, 1, value=0).label == "seed-cap lifted"
