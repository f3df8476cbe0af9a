"""Asks whose turn it is, with everything that core/turn.py wants to know; remembers the course."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from p2pupd.core.course import Course, observe, worth_remembering
from p2pupd.core.jumps import Jumps
from p2pupd.core.orders import SiteOrders
from p2pupd.core.tallies import Tallies
from p2pupd.core.tally import Tally
from p2pupd.core.turn import (
    Gate,
    Here,
    Question,
    Ticket,
    closed_gates,
    deferrable,
    floor_gates,
    halt,
    wants_ticket,
)
from p2pupd.engine.courses import Consents, CourseFile, Key
from p2pupd.engine.interlocks import closed_interlocks
from p2pupd.engine.parts import Parts
from p2pupd.engine.site_settings import SiteSettings
from p2pupd.engine.transfers import Note
from p2pupd.errors import UpdateError, UsageError
from p2pupd.host.clock import local_time, seconds_passed
from p2pupd.model.deployment import Deployment
from p2pupd.model.fleet import Halt, StatusRecord
from p2pupd.model.ids import ComponentId, DeploymentId
from p2pupd.model.release import Release

LONGEST_WAIT: Final = 3600.0
"""Seconds after which closed gates are looked at again at the latest: a clock may have been set."""
MOST_HALTS: Final = 16
INTERLOCK_POLL: Final = 5.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Reservation:
    """`since` by the loop's clock."""

    key: Key
    number: int
    since: float


class Turns:
    """The engine's loop and its handlers ask; nobody else changes anything here."""

    def __init__(
        self,
        parts: Parts,
        *,
        consent: bool,
        copying: Callable[[], bool],
        look_again: Callable[[], None],
        note: Note,
    ) -> None:
        """`consent`: installing needs the operator's. `look_again` has the question asked anew."""
        self._parts = parts
        self._site: SiteSettings = parts.site.settings
        self._rules = parts.site.settings.rules(consent=consent)
        self._file: CourseFile | None = parts.site.courses
        self._copying = copying
        self._look_again = look_again
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._jumps = Jumps(parts.clock().now, self._started)
        self._moved = False
        self._tallies = Tallies()
        self._courses: dict[Key, Course] = {}
        self._consents = Consents()
        self._reserved: _Reservation | None = None
        self._taken: DeploymentId | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._saving, self._asking = asyncio.Lock(), asyncio.Lock()
        self._locked: tuple[Gate, ...] = ()
        self._asked = -inf

    async def load(self) -> None:
        """Take up what was remembered."""
        if self._file is not None:
            self._courses, self._consents = await asyncio.to_thread(self._file.load)

    async def ask(self, record: Deployment, release: Release) -> tuple[Gate, ...]:
        """The closed gates; without any the turn is taken. Raises HostError or SpaceError."""
        if self._taken == record.id:
            return ()
        locked = await self.locked()
        asked = self.question(release, locked)
        await self._remember(asked.course)
        if not wants_ticket(asked):
            self._give_up()
        elif self._ticket(release) is None:
            number = asked.tally.next_ticket()
            self._reserved = _Reservation(_key(release), number, self._loop.time())
            self._parts.changed()
            asked = self.question(release, locked)
        gates = tuple(closed_gates(asked))
        if gates:
            self._wake_up(gates)
            return gates
        self._taken = record.id
        return ()

    async def began(self, release: Release) -> None:
        """It is being installed now, after the resumes that are known. Told only then: until the
        record says that it installs, its history is that of attempts before them.

        Raises HostError or SpaceError where what failed here before would be forgiven again and
        again, because this attempt cannot be remembered."""
        key, course = _key(release), self.question(release).course
        await self._remember(replace(course, resumed=self._orders.resumed(*key)))
        if key in await asyncio.to_thread(self._parts.journal.bad_releases):
            await self._keep()
            await asyncio.to_thread(self._parts.journal.clear_bad, *key)

    def forgiven(self, component: str, release: int) -> bool:
        """Whether a signed resume came after this device began to install it last: what failed
        here is over then."""
        key = (ComponentId(component), release)
        return self._orders.resumed(*key) > self.resumed(*key)

    async def gates(self, release: Release) -> tuple[Gate, ...]:
        """All closed gates of now; changes nothing."""
        return tuple(closed_gates(self.question(release, await self.locked())))

    async def locked(self) -> tuple[Gate, ...]:
        """The interlocks that are closed now. News of a floor can come faster than a command
        answers: it is never asked twice at the same time, and who waited shares an answer."""
        came = self._loop.time()
        async with self._asking:
            if self._asked < came:
                began = self._loop.time()
                self._locked = await closed_interlocks(self._site)
                self._asked = began
            return self._locked

    def gates_of(self, record: StatusRecord, release: Release) -> tuple[Gate, ...]:
        """What follows for another device from policy, orders and records."""
        asked = self.question(release)
        return tuple(floor_gates(replace(asked, device=record.device, groups=record.groups)))

    def question(self, release: Release, locked: tuple[Gate, ...] = ()) -> Question:
        """What core/turn.py is asked about `release` on this device, now."""
        now, tally = self._now(), self.tally(release)
        course = self._courses.get(_key(release)) or Course(*_key(release))
        return Question(
            release=release,
            device=self._parts.device,
            groups=self._parts.site.groups,
            now=now,
            local=local_time(now),
            tally=tally,
            course=observe(course, tally, now),
            orders=self._orders,
            rules=self._rules,
            here=Here(
                approved=release.release in self._consents.approved,
                ahead=release.release in self._consents.ahead,
                copying=self._copying(),
                interlocks=locked,
                listening=self._loop.time() - self._started,
                ticket=self._ticket(release),
            ),
        )

    def tally(self, release: Release) -> Tally:
        """What the floor proves about it; it goes on with the floor until it is asked for again."""
        orders, view = self._orders, self._parts.view()
        retired = orders.written_off(view, self._parts.clock().now, seconds_passed())
        resumed = orders.resumed(*_key(release))
        return self._tallies.of(release, view, retired=retired, resumed=resumed)

    async def watch(self, releases: Iterable[Release]) -> None:
        """See whether the floor halts one of them, also where this device is done with it."""
        install = self._parts.install
        for release in releases:
            if install and release.component == install.component and worth_remembering(release):
                await self._remember(self.question(release).course)

    async def restarting(self, release: Release) -> Gate | None:
        """Return when production does not run; with a gate where the floor has halted the release
        meanwhile: then the device must not start into it."""
        told = False
        while True:
            locked = await self.locked()
            halted = halt(self.question(release))
            if halted or not locked:
                return halted
            if not told:
                self._note("restart.waits", detail=locked[0].detail)
            told = True
            await asyncio.sleep(INTERLOCK_POLL)

    async def approve(self, release: int, *, ahead: bool) -> None:
        """The operator's consent. Raises HostError or SpaceError."""
        before = self._consents
        self._consents = Consents(
            before.approved | {release}, before.ahead | {release} if ahead else before.ahead
        )
        await self._save()

    async def withdraw(self, release: int) -> None:
        """The operator went back from this one: consent to it, and to older ones, is spent."""
        before = self._consents
        self._consents = Consents(
            frozenset(each for each in before.approved if each > release),
            frozenset(each for each in before.ahead if each > release),
        )
        if before != self._consents:
            await self._save()

    @property
    def approved(self) -> frozenset[int]:
        """The releases that the operator allowed here."""
        return self._consents.approved

    async def defer(self, release: Release, seconds: float | None) -> float:
        """Put it off; until when (Unix seconds). Raises UsageError, HostError or SpaceError."""
        asked = self.question(release)
        why_not = deferrable(asked)
        if why_not is not None:
            raise UsageError(f"{release.label} cannot be deferred: {why_not}")
        wanted = self._site.deferral if seconds is None else seconds
        if not 0 < wanted <= self._site.deferral:
            raise UsageError(
                f"it can be deferred by {self._site.deferral:g} s at most (site.deferral)"
            )
        course = asked.course
        until = asked.now + wanted
        await self._remember(replace(course, deferrals=course.deferrals + 1, deferred=until))
        return until

    # -- what the own record tells ---------------------------------------------------------------

    def ticket(self, component: ComponentId, release: int) -> int:
        """The reservation of a place among those that install at once; 0 without one."""
        reserved = self._reserved
        return reserved.number if reserved and reserved.key == (component, release) else 0

    def resumed(self, component: ComponentId, release: int) -> int:
        """The sequence of the last resume when this device began to install it."""
        course = self._courses.get((component, release))
        return course.resumed if course else 0

    def halts(self) -> tuple[Halt, ...]:
        """The releases that are halted."""
        halted = [each for each in self._courses.values() if each.halted is not None]
        in_force = [
            Halt(ComponentId(each.component), each.release, each.halted or 0)
            for each in halted
            if each.is_halted(self._orders.resumed(each.component, each.release))
        ]
        return tuple(sorted(in_force, key=lambda each: -each.release)[:MOST_HALTS])

    # -- inside ----------------------------------------------------------------------------------

    @property
    def _orders(self) -> SiteOrders:
        return self._parts.site.orders()

    def _now(self) -> float:
        """The clock's reading. Where it was set meanwhile, what was seen moves with it: a stage
        proves itself in time that passes, not by a device that learns what year it is."""
        now = self._parts.clock().now
        if jumped := self._jumps.seen(now, self._loop.time()):
            self._moved = True
            self._courses = {key: each.moved(jumped) for key, each in self._courses.items()}
        return now

    def _ticket(self, release: Release) -> Ticket | None:
        reserved = self._reserved
        if reserved is None or reserved.key != _key(release):
            return None
        return Ticket(reserved.number, self._loop.time() - reserved.since)

    def _give_up(self) -> None:
        if self._reserved is not None:
            self._reserved = None
            self._parts.changed()

    async def _remember(self, course: Course) -> None:
        key = (course.component, course.release)
        before = self._courses.get(key) or Course(*key)
        if course == before and not self._moved:
            return
        self._moved = False
        self._courses[key] = course
        resumed = self._orders.resumed(*key)
        if course.is_halted(resumed) and not before.is_halted(resumed):
            self._note("rollout.halted", component=course.component, release=str(course.release))
            self._parts.changed()
        await self._save()

    async def _save(self) -> None:
        """A disk that is full costs memory of the course after a restart, and no more."""
        try:
            await self._keep()
        except UpdateError as error:
            log.warning("rollouts.not-kept reason=%s error=%s", error.reason, error)

    async def _keep(self) -> None:
        if self._file is not None:
            async with self._saving:
                await asyncio.to_thread(self._file.save, dict(self._courses), self._consents)

    def _wake_up(self, gates: tuple[Gate, ...]) -> None:
        """Ask anew when the first of them may open by itself."""
        if self._alarm is not None:
            self._alarm.cancel()
        times = [gate.until for gate in gates if gate.until is not None]
        if times:
            wait = min(max(0.0, min(times) - self._parts.clock().now), LONGEST_WAIT)
            self._alarm = self._loop.call_later(wait, self._look_again)


def _key(release: Release) -> Key:
    return release.component, release.release
