"""What spreads over the floor, by kind: each kind of signed message has a shelf that judges it."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from p2pupd.core.digest_tree import name_of
from p2pupd.core.floor import Floor, Taken
from p2pupd.errors import RecordError, UpdateError
from p2pupd.journal.interface import Journal, KeptRecord
from p2pupd.model.clock import WallClock
from p2pupd.model.fleet import Seen, Stamp, Standing, View
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.trust.envelope import Envelope, unseal
from p2pupd.trust.records import MAX_BYTES, PAYLOAD_TYPE, verify

log = logging.getLogger(__name__)


class Shelf(Protocol):
    """One kind of item. Called on the event loop. What it holds it enters into the index."""

    @property
    def type(self) -> str:
        """The payload type of its envelopes."""

    @property
    def full(self) -> bool:
        """Whether items with unknown names are turned away."""

    def take(self, envelope: Envelope, raw: bytes, heard: float) -> tuple[Taken, bytes]:
        """Judge a message whose signature is right, first said at `heard` (Unix seconds).

        What became of it, and its name. Raises RecordError where it does not count.
        """

    def find(self, name: bytes) -> tuple[bytes, float] | None:
        """The item with that name, and when it was heard."""


class RecordShelf:
    """A Shelf of the devices' status records: the view, and the way it is kept."""

    type = PAYLOAD_TYPE

    def __init__(
        self,
        floor: Floor,
        me: DeviceId,
        *,
        realm: Realm,
        site: str,
        clock: Callable[[], WallClock],
        direct: Callable[[DeviceId], bool],
        overtaken: Callable[[Stamp], None],
        woke: Callable[[], None],
    ) -> None:
        """`direct` tells who is our neighbour; `overtaken` that somebody holds a later record of
        this very device, which has lost count; `woke` that a silent one only says that it lives."""
        self._floor = floor
        self._me = me
        self._realm = realm
        self._site = site
        self._clock = clock
        self._direct = direct
        self._overtaken = overtaken
        self._woke = woke

    @property
    def full(self) -> bool:
        """See Shelf."""
        return self._floor.full

    @property
    def view(self) -> View:
        """The view of now."""
        return self._floor.view()

    def take(self, envelope: Envelope, raw: bytes, heard: float) -> tuple[Taken, bytes]:
        """See Shelf. How long ago a record was said is the word of who carries it, so it never
        makes a device heard of earlier than its record before, or this one, was already."""
        seen = self._judged(envelope, raw, heard)
        device = seen.record.device
        held = self._floor.get(device)
        if device != self._me:
            if held is not None and seen.stamp >= held.stamp:
                seen = replace(seen, heard=max(seen.heard, min(held.heard, seen.first)))
            silent = held is not None and held.silent(self._clock().now)
            taken = self._floor.take(seen)
            if silent and taken is Taken.BEAT:
                self._woke()
            return taken, name_of(device)
        if held is None or seen.stamp > held.stamp:
            self._overtaken(seen.stamp)
        return Taken.KNOWN, name_of(device)

    def say(self, raw: bytes) -> tuple[Taken, bytes]:
        """Put this device's own record on the shelf, which is signed already."""
        clock = self._clock()
        record, stamp = verify(unseal(raw, MAX_BYTES), self._realm, self._site, clock)
        own = Seen(record, stamp, raw, clock.now, clock.now, standing=Standing.OWN)
        return self._floor.take(own), name_of(record.device)

    def find(self, name: bytes) -> tuple[bytes, float] | None:
        """See Shelf."""
        seen = self._floor.named(name)
        return None if seen is None else (seen.raw, seen.heard)

    def load(self, journal: Journal) -> None:
        """Take back what was kept. Blocks. A record that does not count any more is left out."""
        now = self._clock().now
        for kept in journal.view():
            try:
                seen = self._judged(unseal(kept.raw, MAX_BYTES), kept.raw, kept.heard)
            except RecordError as error:
                log.info("fleet.left-out device=%s reason=%s", kept.device, error.reason)
                continue
            own = seen.record.device == self._me
            self._floor.take(
                Seen(
                    seen.record,
                    seen.stamp,
                    kept.raw,
                    seen.heard,
                    min(kept.first, now),
                    direct=kept.direct,
                    alive=min(kept.alive, now),
                    lost=min(kept.lost, now),
                    standing=Standing.OWN if own else Standing.FIRST_USE,
                )
            )
        self._floor.touched()

    def pending(self) -> tuple[list[KeptRecord], list[DeviceId]]:
        """What `write` has to write: changed records, and devices that are held no more."""
        touched = self._floor.touched()
        found = {each: self._floor.get(each) for each in touched}
        changed = [_kept(seen) for seen in found.values() if seen is not None]
        return changed, [device for device, seen in found.items() if seen is None]

    def _judged(self, envelope: Envelope, raw: bytes, heard: float) -> Seen:
        record, stamp = verify(envelope, self._realm, self._site, self._clock())
        now = self._clock().now
        return Seen(record, stamp, raw, min(heard, now), now, direct=self._direct(record.device))


def write(journal: Journal, changed: list[KeptRecord], gone: list[DeviceId]) -> None:
    """Keep a part of the view. Blocks. A full disk costs the news of a restart, no more."""
    try:
        journal.keep_view(changed, gone)
    except UpdateError as error:
        log.warning("fleet.not-kept reason=%s error=%s", error.reason, error)


def _kept(seen: Seen) -> KeptRecord:
    return KeptRecord(
        seen.record.device, seen.raw, seen.heard, seen.first, seen.direct, seen.alive, seen.lost
    )
