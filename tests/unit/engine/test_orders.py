"""The shelf of orders: forged ones count nowhere, replayed ones do no harm, all are kept."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from p2pupd.core.digest_tree import ORDERS, Index, name_of, name_of_order
from p2pupd.core.floor import Taken
from p2pupd.engine.fleet_settings import FleetSettings
from p2pupd.engine.orders import MOST, OrderShelf
from p2pupd.errors import NothingToDo, RecordError
from p2pupd.host.clock import seconds_passed
from p2pupd.journal.settings import JournalSettings
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.fleet import View
from p2pupd.model.ids import ComponentId, DeviceId, Realm
from p2pupd.model.orders import Order, OrderKind
from p2pupd.trust import records
from p2pupd.trust.envelope import unseal
from p2pupd.trust.keys import NaClSigner
from p2pupd.trust.orders import MAX_BYTES, sign
from tests import saying
from tests.gossiping import Node
from tests.support import eventually, running

ANNE = SigningKey(b"a" * 32)
OPERATOR = ANNE.verify_key.encode().hex()
REALM = Realm("0" * 16)


def signed(kind: OrderKind, sequence: int, release: int = 7, realm: Realm = REALM) -> bytes:
    order = Order(kind, realm, "", OPERATOR, 1, sequence, ComponentId("os"), release)
    return sign(order, NaClSigner(ANNE))


class Rig:
    """A shelf on a journal, and what it told."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal = journal
        self.told: list[str] = []
        self.changes = 0
        self.shelf = self.fresh()

    def fresh(
        self,
        operator: str = OPERATOR,
        index: Index | None = None,
        realm: Realm = REALM,
        settle: float = 0.0,
    ) -> OrderShelf:
        shelf = OrderShelf(
            index or Index(),
            self.journal,
            realm=realm,
            site="",
            operators=[operator],
            settle=settle,
            note=self._note,
            changed=self._changed,
        )
        shelf.load()
        return shelf

    def _note(self, event: str, **fields: Any) -> None:
        self.told.append(f"{event} {fields['order']}")

    def _changed(self) -> None:
        self.changes += 1

    def take(self, raw: bytes) -> Taken:
        return self.shelf.take(unseal(raw, MAX_BYTES), raw, 9.0)[0]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    journal = SqliteJournal(tmp_path / "journal.sqlite", JournalSettings())
    yield Rig(journal)
    journal.close()


async def test_an_order_is_obeyed_told_and_kept_over_a_restart(rig: Rig) -> None:
    raw = signed(OrderKind.HOLD, 5)
    async with running(rig.shelf.run()):
        assert rig.take(raw) is Taken.NEWS
        await eventually(lambda: len(rig.journal.orders()) == 1)
    assert rig.told == ["order.taken hold os release 7"]
    again = rig.fresh()
    assert again.orders.held("os", 7) is not None
    assert [each["label"] for each in again.listing()] == ["hold os release 7"]
    assert rig.fresh(operator="b" * 64).listing() == []


async def test_a_replayed_order_changes_nothing(rig: Rig) -> None:
    hold, later = signed(OrderKind.HOLD, 5), signed(OrderKind.HOLD, 6)
    assert [rig.take(each) for each in (later, later, hold)] == [
        Taken.NEWS,
        Taken.KNOWN,
        Taken.OLD,
    ]
    assert len(rig.told) == 1


async def test_of_too_many_orders_the_one_signed_first_gives_way_in_whatever_order_they_come(
    rig: Rig,
) -> None:
    raws = [signed(OrderKind.HOLD, number, release=number) for number in range(1, MOST + 2)]
    assert [rig.take(each) for each in raws] == [Taken.NEWS] * len(raws)
    other = rig.fresh()
    for raw in reversed(raws):
        other.take(unseal(raw, MAX_BYTES), raw, 9.0)
    assert other.listing() == rig.shelf.listing()
    assert rig.take(raws[0]) is Taken.FULL
    assert rig.shelf.orders.held("os", 1) is None


@pytest.mark.parametrize("most", [3, 700])
async def test_who_has_no_room_for_strangers_still_hears_of_all_orders(rig: Rig, most: int) -> None:
    """Both views are full, of other devices each; one message lists 512 items."""
    few = FleetSettings(devices=most, interval=3600.0, pace=0.01)  # type: ignore[arg-type]
    floor: dict[DeviceId, Node] = {}
    one, other = Node(1, floor, [2], few), Node(2, floor, [1], few)
    shelves = [rig.fresh(index=each.index, realm=saying.REALM) for each in (one, other)]
    for node, shelf, first in zip((one, other), shelves, (10, 10_000), strict=True):
        node.says()
        node.sync.add(shelf)
        for number in range(first, first + most - 1):
            raw = saying.signed(number)
            node.shelf.take(unseal(raw, records.MAX_BYTES), raw, saying.NOW)
        assert node.shelf.full
    for release in range(1, 41):
        raw = signed(OrderKind.HOLD, 5, release, realm=saying.REALM)
        shelves[1].take(unseal(raw, MAX_BYTES), raw, 9.0)
    async with running(one.sync.run()):
        one.sync.told(other.id, other.sync.digest)
        await eventually(lambda: len(shelves[0].listing()) == 40)


async def test_a_write_off_counts_when_news_had_time_to_cross_the_floor(rig: Rig) -> None:
    shelf, told = rig.fresh(settle=0.3), rig.changes
    order = Order(OrderKind.WRITE_OFF, REALM, "", OPERATOR, 1, 5, value=3600)
    raw = sign(order, NaClSigner(ANNE))
    shelf.take(unseal(raw, MAX_BYTES), raw, saying.NOW - 60.0)
    gone = replace(saying.seen(1), heard=saying.NOW - 4000.0)
    view = View({gone.record.device: gone})
    assert shelf.orders.written_off(view, saying.NOW, seconds_passed()) == frozenset()
    await eventually(lambda: rig.changes == told + 2)
    assert shelf.orders.written_off(view, saying.NOW, seconds_passed()) == {gone.record.device}
    async with running(shelf.run()):
        await eventually(rig.journal.orders)
    again = rig.fresh().orders.written_off(view, saying.NOW, seconds_passed())
    assert again == {gone.record.device}


def test_orders_have_names_of_their_own() -> None:
    keys = [str(each) for each in range(2000)]
    assert {name_of_order(each)[:1] for each in keys} == {ORDERS}
    assert ORDERS not in {name_of(each)[:1] for each in keys}


async def test_an_order_that_is_handed_over_spreads_once(rig: Rig) -> None:
    names: list[bytes] = []
    said = rig.shelf.hand_over(signed(OrderKind.HOLD, 6), 9.0, names.append)
    assert said == "hold os release 7: obeyed here, and passed on to the floor"
    assert rig.shelf.find(names[0]) == (signed(OrderKind.HOLD, 6), 9.0)
    assert rig.shelf.find(b"nobody's") is None
    with pytest.raises(NothingToDo):
        rig.shelf.hand_over(signed(OrderKind.HOLD, 6), 9.0, names.append)
    with pytest.raises(RecordError, match="a later order"):
        rig.shelf.hand_over(signed(OrderKind.HOLD, 5), 9.0, names.append)
    assert rig.shelf.seed_cap() is None
