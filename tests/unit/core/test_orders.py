"""What a site's orders come to, in whatever order they arrive."""

from dataclasses import replace
from itertools import permutations
from typing import Any

from p2pupd.core.orders import NO_ORDERS, Came, SiteOrders, shelf_key
from p2pupd.model.deployment import Phase
from p2pupd.model.fleet import DeploymentState, Seen, View
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


DAY = 86400.0


def _gone(number: int, days: float, **changes: Any) -> Seen:
    return replace(seen(number, **changes), heard=NOW - days * DAY)


def _written_off(
    *floor: Seen, since: float = 0.0, said: float = NOW, now: float = NOW
) -> set[DeviceId]:
    """By an order to write off who was silent for two days, which counts `since` a second."""
    two_days = order(OrderKind.WRITE_OFF, 2, value=172800, component=None, release=0)
    orders = SiteOrders([order(OrderKind.RETIRE, 1), two_days], {two_days: Came(said, since)})
    view = View({each.record.device: each for each in floor})
    return set(orders.written_off(view, now, passed=10.0) - {DEVICE})


def test_who_was_silent_for_so_long_is_written_off_until_it_is_heard_again() -> None:
    early, late = _gone(1, 3), _gone(2, 1)
    assert _written_off(early, late, seen(3)) == {early.record.device}
    assert _written_off(replace(early, heard=float(NOW)), late) == set()
    days_later = NOW + 5 * DAY
    assert _written_off(early, late, now=days_later) == {early.record.device}


def test_without_a_write_off_only_retired_devices_are() -> None:
    view = View({each.record.device: each for each in (_gone(1, 300),)})
    assert NO_ORDERS.written_off(view, NOW, 0.0) == frozenset()
    untold = order(OrderKind.WRITE_OFF, 2, value=3600, component=None, release=0)
    assert SiteOrders([untold]).written_off(view, NOW, 0.0) == frozenset()


def test_a_write_off_waits_for_what_may_contradict_it() -> None:
    assert _written_off(_gone(1, 3), since=10.5) == set()


def test_clocks_that_disagree_write_nobody_off_who_was_heard() -> None:
    restarts = replace(seen(1), lost=NOW + 1.0)
    assert restarts.silent(NOW)
    assert _written_off(restarts, _gone(2, 1), said=NOW + 900 * DAY) == set()


def test_whoever_fell_silent_while_it_installed_is_not_written_off() -> None:
    dead = _gone(1, 3, deployment=DeploymentState(COMPONENT, "1", 7, Phase.ARMED, NOW))
    assert _written_off(dead) == set()


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
    said = "retire who was silent for 1000 s"
    assert order(OrderKind.WRITE_OFF, 1, component=None).label == said
    assert order(OrderKind.SEED_CAP, 1).label == "seed-cap 1000 bytes/s"
    assert order(OrderKind.SEED_CAP, 1, value=0).label == "seed-cap lifted"
