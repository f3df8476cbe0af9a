"""One device's own view of the floor as it grows: the law of gossip.py within a limit.

Made-up devices cost a signature each, so a view that grew without limit could be filled by anybody.
When it is full, a stranger is turned away: who has long been known stays. Only a device that is our
own neighbour still comes in. Of all that are no neighbours of ours (any more), the one that was
heard of last goes for it.
"""

from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType

from p2pupd.core.digest_tree import Index, name_of
from p2pupd.core.gossip import is_news, newer
from p2pupd.model.fleet import Seen, Stamp, Standing, StatusRecord, View
from p2pupd.model.ids import DeviceId

EPOCH_BYTES = 4
NUMBER_BYTES = 8


class Taken(Enum):
    """What became of a saying."""

    NEWS = auto()
    """It says something new."""
    BEAT = auto()
    """It is newer, and says only that the device lives."""
    KNOWN = auto()
    """It is held already."""
    OLD = auto()
    """The device has said something since: a replay, or a neighbour that is behind."""
    FULL = auto()
    """A stranger, and no room."""


class Floor:
    """The view of one device, written by it alone."""

    def __init__(self, limit: int, index: Index) -> None:
        """`limit`: devices in the view at most. What is held is entered into `index`."""
        self._limit = limit
        self._index = index
        self._entries: dict[DeviceId, Seen] = {}
        self._keys: dict[bytes, DeviceId] = {}
        self._touched: set[DeviceId] = set()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def full(self) -> bool:
        """Whether strangers are turned away."""
        return len(self._entries) >= self._limit

    def view(self) -> View:
        """The view of now, which follows this one."""
        return View(MappingProxyType(self._entries))

    def get(self, device: DeviceId) -> Seen | None:
        """What is held of it."""
        return self._entries.get(device)

    def named(self, name: bytes) -> Seen | None:
        """The same by the name of its item."""
        device = self._keys.get(name)
        return None if device is None else self._entries[device]

    def take(self, seen: Seen) -> Taken:
        """Merge one saying in."""
        device = seen.record.device
        held = self._entries.get(device)
        if held is None:
            if self.full and not self._make_room(seen):
                return Taken.FULL
            self._keep(device, seen)
            return Taken.NEWS
        merged = newer(held, seen)
        if merged != held:
            self._keep(device, merged)
        if seen.stamp == held.stamp and seen.raw == held.raw:
            return Taken.KNOWN
        if merged.raw == held.raw:
            return Taken.OLD
        return Taken.NEWS if is_news(held.record, seen.record) else Taken.BEAT

    def answered(self, device: DeviceId, now: float) -> None:
        """Our neighbour showed that it lives."""
        held = self._entries.get(device)
        if held is not None:
            self._entries[device] = replace(held, direct=True, alive=now)

    def lost(self, device: DeviceId, now: float) -> None:
        """It is our neighbour no more, because it does not answer."""
        held = self._entries.get(device)
        if held is not None:
            self._entries[device] = replace(held, lost=now)

    def moved(self, seconds: float) -> None:
        """The clock was set by so much: what was heard is as long ago as before."""
        for device, held in self._entries.items():
            self._entries[device] = replace(
                held,
                heard=held.heard + seconds,
                first=held.first + seconds,
                alive=held.alive and held.alive + seconds,
                lost=held.lost and held.lost + seconds,
            )

    def touched(self) -> frozenset[DeviceId]:
        """Whose saying has changed, or is held no more, since this was asked last."""
        found, self._touched = frozenset(self._touched), set()
        return found

    def _make_room(self, seen: Seen) -> bool:
        if not (seen.direct or seen.standing is Standing.OWN):
            return False
        strangers = [
            each
            for each in self._entries.values()
            if each.standing is not Standing.OWN and not (each.direct and each.lost <= each.alive)
        ]
        if not strangers:
            return False
        last = max(strangers, key=lambda each: (each.first, each.record.device))
        self._forget(last.record.device)
        return True

    def _keep(self, device: DeviceId, seen: Seen) -> None:
        name = name_of(device)
        self._touched.add(device)
        self._entries[device] = seen
        self._keys[name] = device
        self._index.put(name, stamp_bytes(seen.stamp), _news_bytes(seen.record))

    def _forget(self, device: DeviceId) -> None:
        name = name_of(device)
        self._touched.add(device)
        del self._entries[device], self._keys[name]
        self._index.drop(name)


def stamp_bytes(stamp: Stamp) -> bytes:
    """16 bytes, in the order of the stamps."""
    return (
        stamp.epoch.to_bytes(EPOCH_BYTES, "big")
        + stamp.sequence.to_bytes(NUMBER_BYTES, "big")
        + stamp.tie.to_bytes(EPOCH_BYTES, "big")
    )


def _news_bytes(record: StatusRecord) -> bytes:
    return record.epoch.to_bytes(EPOCH_BYTES, "big") + record.news.to_bytes(NUMBER_BYTES, "big")
