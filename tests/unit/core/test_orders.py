"""What a site's orders come to, in whatever order they arrive."""

from dataclasses import replace
from itertools import permutations
from typing import Any

from p2pupd.core.orders import NO_ORDERS, SiteOrders, shelf_key
from p2pupd.model.fleet import View
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.model.orders import Order, OrderKind
from tests.builders import COMPONENT
from tests.saying import NOW, seen

ANNE, BERT = "a" * 64, "b" * 64
DEVICE = DeviceId("d" * 52)
REALM = Realm("0" * 16)


def order(kind: OrderKind, sequence: int, **changes: Any) -> Order:
    about: dict[str, Any] = {"component": COMPONENT, "release": 7}
    if kind is OrderKind.RETIRE:
        about = {"device": DEVICE}
    if kind in (OrderKind.SEED_CAP, OrderKind.WRITE_OFF):
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


def test_who_is_silent_since_long_ago_is_written_off_until_it_is_heard_again() -> None:
    early, late, lives = (replace(seen(each), heard=NOW - 9e5 * (2 - each)) for each in range(3))
    view = View({each.record.device: each for each in (early, late, lives)})
    orders = [order(OrderKind.RETIRE, 1)]
    assert SiteOrders(orders).written_off(view, NOW) == {DEVICE}
    orders.append(order(OrderKind.WRITE_OFF, 2, value=NOW - 1_000_000, component=None, release=0))
    assert SiteOrders(orders).written_off(view, NOW) == {DEVICE, early.record.device}
    orders.append(order(OrderKind.WRITE_OFF, 3, value=NOW, component=None, release=0))
    silent = {early.record.device, late.record.device}
    assert SiteOrders(orders).written_off(view, NOW) == {DEVICE, *silent}
    heard = View({**view.entries, early.record.device: replace(early, heard=float(NOW))})
    assert SiteOrders(orders).written_off(heard, NOW) == {DEVICE, late.record.device}


def test_whoever_answers_is_not_written_off_whatever_time_an_operator_names() -> None:
    lives = seen(1)
    ahead = order(OrderKind.WRITE_OFF, 1, value=NOW * 2, component=None, release=0)
    view = View({lives.record.device: lives})
    assert SiteOrders([ahead]).written_off(view, NOW) == frozenset()


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
    said = "retire who is silent since 1970-01-01 00:16:40Z"
    assert order(OrderKind.WRITE_OFF, 1, component=None).label == said
    assert order(OrderKind.SEED_CAP, 1).label == "seed-cap 1000 bytes/s"
    assert order(OrderKind.SEED_CAP, 1, value=0).label == "seed-cap lifted"
