"""What a site's orders come to. Orders may arrive in any order, any number of times.

Of one operator and subject the greatest stamp holds. Between operators, and between a hold and a
resume, the greater sequence does: the one that was signed later.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from p2pupd.core.tally import INSTALLS
from p2pupd.model.fleet import Seen, View
from p2pupd.model.ids import DeviceId
from p2pupd.model.orders import Order, OrderKind

OPERATOR_DIGITS: Final = 16


def shelf_key(order: Order) -> str:
    """Under which an order lies with the others: a newer one with the same key replaces it."""
    return f"order:{order.operator[:OPERATOR_DIGITS]}:{order.kind}:{order.subject}"


class Came(NamedTuple):
    """When a write-off was `said`, in Unix seconds by this device's own clock, and from how many
    seconds passed on it counts: what contradicts it may come a little later."""

    said: float
    counts_from: float


class SiteOrders:
    """A reading of the orders that are known now."""

    def __init__(
        self, orders: Iterable[Order] = (), came: Mapping[Order, Came] | None = None
    ) -> None:
        """A write-off counts only where it is known when it `came`."""
        self._came = came or {}
        self._last: dict[tuple[OrderKind, str], Order] = {}
        for order in orders:
            key = (order.kind, order.subject)
            if key not in self._last or _rank(order) > _rank(self._last[key]):
                self._last[key] = order

    def held(self, component: str, release: int) -> Order | None:
        """The hold that is in force."""
        hold = self._last.get((OrderKind.HOLD, f"{component}/{release}"))
        if hold is None or hold.sequence <= self.resumed(component, release):
            return None
        return hold

    def resumed(self, component: str, release: int) -> int:
        """The sequence of the last resume; 0 where there is none. What failed before it is over."""
        resume = self._last.get((OrderKind.RESUME, f"{component}/{release}"))
        return resume.sequence if resume else 0

    def approved(self, component: str, release: int) -> bool:
        """Whether an operator consents for the whole site."""
        return (OrderKind.APPROVE, f"{component}/{release}") in self._last

    def retired(self) -> frozenset[DeviceId]:
        """The devices that take no part in rollouts."""
        return frozenset(
            order.device
            for (kind, _), order in self._last.items()
            if kind is OrderKind.RETIRE and order.value and order.device is not None
        )

    def written_off(self, view: View, now: float, passed: float) -> frozenset[DeviceId]:
        """Who is retired, and who had been silent for as long as an operator named when he said so:
        nobody waits for them. Whoever is heard again counts again.

        All by this device's own clock: `now`, Unix seconds; `passed` are seconds that no clock that
        is set changes. Who fell silent while it installed may be dead of that, and is not meant.
        """
        order = self._last.get((OrderKind.WRITE_OFF, "site"))
        came = self._came.get(order) if order is not None else None
        if order is None or came is None or passed < came.counts_from:
            return self.retired()
        last = min(came.said, now) - order.value
        silent = (
            device
            for device, seen in view.entries.items()
            if seen.last_sign < last and seen.silent(now) and not _installs(seen)
        )
        return self.retired().union(silent)

    def seed_cap(self) -> int | None:
        """Bytes per second for all seeds together, 0 for no cap; None where nobody ordered any."""
        order = self._last.get((OrderKind.SEED_CAP, "site"))
        return order.value if order else None


def _installs(seen: Seen) -> bool:
    doing = seen.record.deployment
    return doing is not None and doing.phase in INSTALLS


def _rank(order: Order) -> tuple[int, str]:
    return order.sequence, order.operator


NO_ORDERS: Final = SiteOrders()
