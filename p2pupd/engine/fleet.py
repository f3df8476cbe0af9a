"""This device's view of the floor: kept over restarts, shared with neighbours, shown to people."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from p2pupd.core.copies import Copies, copies
from p2pupd.core.digest_tree import Index
from p2pupd.core.floor import Floor
from p2pupd.core.jumps import Jumps
from p2pupd.core.orders import SiteOrders
from p2pupd.engine.fleet_report import STATES, Json, copies_picture, fleet_picture
from p2pupd.engine.fleet_settings import FleetSettings
from p2pupd.engine.fleetsync import Call, FleetSync
from p2pupd.engine.own_word import OwnWord
from p2pupd.engine.shelves import RecordShelf, write
from p2pupd.engine.tasks import Signal, Tasks
from p2pupd.engine.telling import Content, Telling
from p2pupd.host.clock import seconds_passed
from p2pupd.journal.interface import Journal
from p2pupd.model.clock import WallClock
from p2pupd.model.device import Neighbour
from p2pupd.model.fleet import Stamp, View
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.model.release import Manifest, Release
from p2pupd.trust.identity import Identity
from p2pupd.wire.records import LONGEST_BEAT

log = logging.getLogger(__name__)

SMALL_FLOOR: Final = 32
"""Devices for which the beat is as configured."""
KEEP_NEWS: Final = 10.0
KEEP_BEATS: Final = 900.0
"""Seconds after which a change of the view is written down: news, and mere signs of life."""
RECONSIDER: Final = 1.0
"""Seconds between two looks at what others' news mean for this device."""


class Fleet:
    """Owns the view. `sync` is what else spreads over the floor is added to; `changes` fires when
    the view says something new, or this device may have changed."""

    def __init__(
        self,
        settings: FleetSettings,
        identity: Identity,
        realm: Realm,
        journal: Journal,
        *,
        clock: Callable[[], WallClock],
        neighbours: Callable[[], Iterable[Neighbour]],
        call: Call,
        passed: Callable[[], float] = seconds_passed,
    ) -> None:
        """Call `load` before it is used. `passed` counts seconds, whatever the clock is set to."""
        self._settings, self._journal, self._clock = settings, journal, clock
        self._passed, self._jumps = passed, Jumps(clock().now, passed())
        self._neighbours, self._index, self._me = neighbours, Index(), identity.id
        self._floor, self._word = Floor(settings.devices, self._index), OwnWord(identity, journal)
        self._shelf = RecordShelf(
            self._floor,
            identity.id,
            realm=realm,
            site=settings.site,
            clock=self._read,
            direct=self._near,
            overtaken=self._overtaken,
            woke=self._heard,
        )
        self.sync = FleetSync(
            settings,
            realm,
            self._index,
            neighbours=neighbours,
            call=call,
            now=self.now,
            on_news=self._heard,
        )
        self.sync.add(self._shelf)
        self._telling = Telling(self._word, self._shelf, self.sync, self._said, self.known)
        self._news, self._unkept, self._foreign = asyncio.Event(), asyncio.Event(), False
        self.changes = Signal()

    def load(self) -> None:
        """Take back what was known before the start. Blocks: disk, and a signature a device."""
        self._word.load()
        self._shelf.load(self._journal)
        own = self._floor.get(self._me)
        self._word.resume(own.record if own else None)

    @property
    def index(self) -> Index:
        """Into which a shelf that is added to `sync` enters what it holds."""
        return self._index

    @property
    def view(self) -> View:
        """All that is known now; it follows what comes later."""
        self._read()
        return self._floor.view()

    def now(self) -> float:
        """The clock's reading, in Unix seconds."""
        return self._read().now

    def beat(self) -> float:
        """Seconds for which this device may keep silent, on a floor of this size."""
        return min(LONGEST_BEAT, self._settings.beat * max(1.0, len(self._floor) / SMALL_FLOOR))

    def known(self) -> int:
        """How many devices this one knows of, itself included."""
        return len(self._floor)

    def poke(self) -> None:
        """Something of this device may have changed."""
        self._telling.poke()
        self.changes.fire()

    def answered(self, device: DeviceId, digest: str) -> None:
        """A device answered a hello, with the digest of its view."""
        if self._near(device):
            self._lives(device)
        self.sync.told(device, bytes.fromhex(digest))

    def met(self, neighbour: DeviceId) -> None:
        """A device was admitted as our neighbour."""
        self._lives(neighbour)
        self.sync.met()

    def lost(self, neighbour: DeviceId) -> None:
        """A neighbour answers no more."""
        self._floor.lost(neighbour, self.now())
        self._heard()

    def states(self) -> dict[str, int]:
        """How many devices are in each state."""
        found = Counter(each["state"] for each in self.picture())
        return {state: found[state] for state in STATES}

    def picture(self) -> list[Json]:
        """Every device, as `p2pupd fleet` shows it."""
        near = [each.id for each in self._neighbours()]
        return fleet_picture(self.view, near, self.now())

    def copies(self, releases: Iterable[Release], orders: SiteOrders) -> tuple[Copies, ...]:
        """How often the floor, without the devices that were retired, holds each of them."""
        wanted, view, now = self._settings.copies, self.view, self.now()
        return copies(
            view, releases, wanted, now, retired=orders.written_off(view, now, self._passed())
        )

    async def run(self, content: Content, on_news: Callable[[bool], None]) -> None:
        """Until cancelled.

        `on_news` is called when the view says something new, at most once in RECONSIDER seconds;
        it is told whether that came from others.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = Tasks(group)
                tasks.supervise("fleet-sync", self.sync.run)
                tasks.start("fleet-telling", self._telling.run(content))
                tasks.start("fleet-news", self._pass_on(on_news))
                tasks.start("fleet-keeping", self._keep())
        finally:
            write(self._journal, *self._shelf.pending())

    def _read(self) -> WallClock:
        """The clock. Where it was set, what was heard moves with it: set back, it would show nobody
        who falls silent until it is again where it was, and set ahead, everybody as silent."""
        read = self._clock()
        if jumped := self._jumps.seen(read.now, self._passed()):
            self._floor.moved(jumped)
        return read

    def _lives(self, device: DeviceId) -> None:
        """That it answers is news where it was silent."""
        held, now = self._floor.get(device), self.now()
        self._floor.answered(device, now)
        if held is not None and held.silent(now):
            self._heard()

    def _near(self, device: DeviceId) -> bool:
        return any(each.id == device for each in self._neighbours())

    def _overtaken(self, stamp: Stamp) -> None:
        self._word.overtaken(stamp)
        self._telling.poke()

    def _heard(self) -> None:
        self._foreign = True
        self._said()

    def _said(self) -> None:
        self._news.set()
        self._unkept.set()
        self.changes.fire()

    async def _pass_on(self, on_news: Callable[[bool], None]) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            foreign, self._foreign = self._foreign, False
            on_news(foreign)
            await asyncio.sleep(RECONSIDER)

    async def _keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(KEEP_BEATS):
                    await self._unkept.wait()
                    await asyncio.sleep(KEEP_NEWS)
            except TimeoutError:
                log.debug("fleet.keeping-beats")
            self._unkept.clear()
            changed, gone = self._shelf.pending()
            if changed or gone:
                await asyncio.to_thread(write, self._journal, changed, gone)


def site_picture(fleet: Fleet, manifest: Manifest | None, orders: SiteOrders) -> Json:
    """The floor in a few figures, and whether the stick may be removed (None: nothing to hold)."""
    view, now = fleet.view, fleet.now()
    found = fleet.copies(manifest.releases if manifest else (), orders)
    silent = sum(each.silent(now) for each in view.entries.values())
    return {
        "devices": len(view.entries),
        "silent": silent,
        "copies": copies_picture(found),
        "stick_may_go": all(each.enough for each in found) if found else None,
        "dropped": dict(fleet.sync.dropped),
    }
