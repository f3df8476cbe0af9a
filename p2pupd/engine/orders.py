"""The operators' orders on this device: a shelf from which they spread, and what they come to."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from p2pupd.core.digest_tree import Index, name_of_order
from p2pupd.core.floor import Taken, stamp_bytes
from p2pupd.core.orders import Came, SiteOrders, shelf_key
from p2pupd.errors import NothingToDo, RecordError, UpdateError
from p2pupd.host.clock import seconds_passed
from p2pupd.journal.interface import Journal
from p2pupd.model.fleet import Stamp
from p2pupd.model.ids import Realm
from p2pupd.model.orders import Order, OrderKind
from p2pupd.trust.envelope import Envelope, unseal
from p2pupd.trust.orders import MAX_BYTES, PAYLOAD_TYPE, verify

log = logging.getLogger(__name__)
Json = dict[str, Any]

MOST: Final = 1024
"""Orders that are kept. Only operators can make them; the one that was signed first gives way,
whatever the order in which they came: so all devices keep the same ones."""


@dataclass(frozen=True, slots=True)
class _Held:
    order: Order
    stamp: Stamp
    raw: bytes
    heard: float
    counts_from: float


class OrderShelf:
    """A Shelf (engine/shelves.py) of orders."""

    type = PAYLOAD_TYPE
    full = False

    def __init__(
        self,
        index: Index,
        journal: Journal,
        *,
        realm: Realm,
        site: str,
        operators: Iterable[str],
        settle: float,
        note: Callable[..., None],
        changed: Callable[[], None],
    ) -> None:
        """`settle`: the seconds that news needs to cross the floor. `note` writes a line into the
        log and the history; `changed` is called after an order that says something new, and when a
        write-off begins to count."""
        self._settle = settle
        self._index = index
        self._journal = journal
        self._realm = realm
        self._site = site
        self._operators = frozenset(operators)
        self._note = note
        self._changed = changed
        self._held: dict[str, _Held] = {}
        self._keys: dict[bytes, str] = {}
        self._unwritten: asyncio.Queue[tuple[str, bytes, float]] = asyncio.Queue()
        self.orders = SiteOrders()

    def load(self) -> None:
        """Take back what was kept. Blocks. Orders of who is no operator any more are left out."""
        for key, raw, heard in self._journal.orders():
            try:
                order, stamp = self._verified(unseal(raw, MAX_BYTES))
            except RecordError as error:
                log.info("order.left-out key=%s reason=%s", key, error.reason)
                continue
            self._keep(key, self._now_held(order, stamp, raw, heard))
        self._read()

    def take(self, envelope: Envelope, raw: bytes, heard: float) -> tuple[Taken, bytes]:
        """See Shelf."""
        order, stamp = self._verified(envelope)
        key = shelf_key(order)
        name = name_of_order(key)
        held = self._held.get(key)
        if held is not None and stamp <= held.stamp:
            return (Taken.KNOWN if stamp == held.stamp else Taken.OLD), name
        self._keep(key, self._now_held(order, stamp, raw, heard))
        if key not in self._held:
            return Taken.FULL, name
        self._unwritten.put_nowait((key, raw, heard))
        self._read()
        self._note("order.taken", order=order.label, operator=order.operator)
        self._changed()
        if order.kind is OrderKind.WRITE_OFF:
            asyncio.get_running_loop().call_later(self._settle + 0.1, self._changed)
        return Taken.NEWS, name

    def hand_over(self, raw: bytes, now: float, spread: Callable[[bytes], None]) -> str:
        """Take an order that an operator handed to this device, and `spread` it by its name; what
        came of it, for people. Raises RecordError, NothingToDo where it is known already."""
        envelope = unseal(raw, MAX_BYTES)
        taken, name = self.take(envelope, raw, now)
        order, _ = self._verified(envelope)
        if taken is Taken.OLD:
            raise RecordError(
                f"a later order of the same operator about {order.subject} is known already",
                reason="replayed",
            )
        if taken is Taken.FULL:
            raise RecordError(f"{MOST} later orders are known already", reason="full")
        if taken is Taken.KNOWN:
            raise NothingToDo(f"{order.label}: this order is known already")
        spread(name)
        return f"{order.label}: obeyed here, and passed on to the floor"

    def find(self, name: bytes) -> tuple[bytes, float] | None:
        """See Shelf."""
        key = self._keys.get(name)
        return None if key is None else (self._held[key].raw, self._held[key].heard)

    def seed_cap(self) -> int | None:
        """See SiteOrders."""
        return self.orders.seed_cap()

    def listing(self) -> list[Json]:
        """What `status` shows, in the order of signing."""
        held = sorted(self._held.values(), key=lambda each: each.order.sequence)
        return [
            {
                "kind": str(each.order.kind),
                "label": each.order.label,
                "operator": each.order.operator,
                "sequence": each.order.sequence,
                "heard": each.heard,
            }
            for each in held
        ]

    def _verified(self, envelope: Envelope) -> tuple[Order, Stamp]:
        return verify(envelope, self._realm, self._site, self._operators)

    def _now_held(self, order: Order, stamp: Stamp, raw: bytes, heard: float) -> _Held:
        return _Held(order, stamp, raw, heard, seconds_passed() + self._settle)

    def _keep(self, key: str, held: _Held) -> None:
        name = name_of_order(key)
        self._held[key] = held
        self._keys[name] = key
        self._index.put(name, stamp_bytes(held.stamp), stamp_bytes(held.stamp))
        if len(self._held) > MOST:
            gone = min(self._held, key=lambda each: (self._held[each].order.sequence, each))
            del self._held[gone]
            name = name_of_order(gone)
            self._index.drop(name)
            del self._keys[name]

    async def run(self) -> None:
        """Write down what came, until cancelled. A full disk costs an order after a restart, when
        neighbours bring it again."""
        while True:
            key, raw, heard = await self._unwritten.get()
            try:
                await asyncio.to_thread(self._journal.keep_order, key, raw, heard)
            except UpdateError as error:
                log.warning("order.not-kept reason=%s error=%s", error.reason, error)

    def _read(self) -> None:
        held = self._held.values()
        came = {
            each.order: Came(each.heard, each.counts_from)
            for each in held
            if each.order.kind is OrderKind.WRITE_OFF
        }
        self.orders = SiteOrders((each.order for each in held), came)
