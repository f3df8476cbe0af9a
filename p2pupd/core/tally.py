"""What the records of a floor prove about one release, stage by stage.

Only what a device says about itself counts as proof. One that says nothing proves nothing: it
neither makes a wave succeed nor halts a release for good, but until it speaks it counts against the
success of its wave.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from math import inf, nextafter
from operator import attrgetter
from typing import Final, NamedTuple

from p2pupd.core.lifecycle import HALTED, LEFT
from p2pupd.core.waves import place, stage_of
from p2pupd.model.deployment import Phase
from p2pupd.model.fleet import Seen, Standing, StatusRecord, Update
from p2pupd.model.ids import DeviceId
from p2pupd.model.numbers import LARGEST
from p2pupd.model.release import Release
from p2pupd.model.rollout import WHOLE

INSTALLS: Final = frozenset({Phase.INSTALLING, Phase.ARMED, Phase.TRIAL, Phase.REVERTING})
"""The phases in which a device is busy with the release and may not work."""

BLAMELESS: Final = frozenset(
    {"no-space", "fetch-failed", "source-gone", "neighbour-busy", "protocol", LEFT, HALTED}
)
"""Reasons of an end that are not the release's fault."""

_ENDS: Final = frozenset({Phase.CONFIRMED, Phase.REVERTED, Phase.FAILED})


class Evidence(Enum):
    """What one device's record says about a release.

    OUTSIDE: it is not for that device, or it runs a newer one. OPEN: it has not come to an end
    there, or failed before the last resume and is tried again.
    """

    OUTSIDE = auto()
    OPEN = auto()
    INSTALLS = auto()
    CONFIRMED = auto()
    FAILED = auto()


def evidence(record: StatusRecord, release: Release, resumed: int) -> Evidence:
    """What the record proves. `resumed` is the sequence of the last resume of the release: who
    failed before that is a member of its stage as if it had not begun. Where there was one, a
    device that goes back says only at its end after which resume it began."""
    runs = record.installed(release.component)
    if runs is None or set(record.hardware_ids).isdisjoint(release.hardware_ids):
        return Evidence.OUTSIDE
    doing = record.deployment
    if doing is not None and doing.phase in INSTALLS and _about(doing, release):
        failing = doing.phase is Phase.REVERTING and doing.reason not in BLAMELESS and not resumed
        return Evidence.FAILED if failing else Evidence.INSTALLS
    last = _last_end(record, release)
    failed = last is not None and last.phase is not Phase.CONFIRMED
    if last is not None and failed and last.reason not in BLAMELESS and last.resumed >= resumed:
        return Evidence.FAILED
    if runs.release == release.release:
        return Evidence.CONFIRMED
    wants = runs.release < release.release or runs.release in release.rollback_from
    return Evidence.OPEN if wants else Evidence.OUTSIDE


def _about(said: object, release: Release) -> bool:
    which = (getattr(said, "component", None), getattr(said, "release", None))
    return which == (release.component, release.release)


def _last_end(record: StatusRecord, release: Release) -> Update | None:
    ends = (each for each in record.history if each.phase in _ENDS and _about(each, release))
    return next(ends, None)


@dataclass(slots=True)
class Stage:
    """How many devices of a stage there are, and how many of them have come to which end."""

    members: int = 0
    confirmed: int = 0
    failed: int = 0

    def change(self, what: Evidence, by: int) -> None:
        """Count `by` more devices of which this is known."""
        self.members += by * (what is not Evidence.OUTSIDE)
        self.confirmed += by * (what is Evidence.CONFIRMED)
        self.failed += by * (what is Evidence.FAILED)

    def over(self, limit: int, more: int = 0) -> bool:
        """Whether so many have failed, and `more`, that it is `limit` permille or above."""
        failed = self.failed + more
        return failed > 0 and failed * WHOLE >= limit * self.members

    def succeeded(self, limit: int) -> bool:
        """Whether the limit cannot be reached any more, whatever the others of it come to."""
        undecided = self.members - self.confirmed
        return undecided * WHOLE < limit * self.members or not self.members


class Heard(NamedTuple):
    """How many are `present` of those `known`: that is so from `since` until `until`."""

    since: float
    until: float
    present: int
    known: int

    def swapped(self, before: "Heard", after: "Heard") -> "Heard":
        """With `after` instead of `before`, both of `since`. Perhaps it holds for longer."""
        return Heard(
            self.since,
            min(self.until, after.until),
            self.present + after.present - before.present,
            self.known + after.known - before.known,
        )


_NOBODY: Final = Heard(-inf, inf, 0, 0)


class Tally:
    """Counts the records of a floor for one release: of each device what was put in last."""

    def __init__(
        self,
        release: Release,
        seen: Iterable[Seen] = (),
        *,
        retired: frozenset[DeviceId] = frozenset(),
        resumed: int = 0,
    ) -> None:
        """`retired` devices count in no stage, and halt nothing."""
        self.release = release
        self.resumed = resumed
        self._retired = retired
        self._counted: dict[DeviceId, tuple[int, Evidence]] = {}
        self._known: dict[DeviceId, Seen] = {}
        self._heard: Heard | None = None
        self._parts: set[Tally] = set()
        self.stages = [Stage() for _ in range(len(release.rollout.waves) + 1)]
        self.installing: dict[DeviceId, Seen] = {}
        self.waiting: dict[DeviceId, Seen] = {}
        self.halted_by: set[DeviceId] = set()
        for each in seen:
            self.put(each)

    def put(self, seen: Seen) -> None:
        """Count this record, instead of the device's earlier one."""
        record, device = seen.record, seen.record.device
        self._heard = None
        if device not in self._retired:
            self._known[device] = seen
            self._count(record)
        self.installing.pop(device, None)
        self.waiting.pop(device, None)
        doing = record.deployment
        if doing is not None and _about(doing, self.release):
            if doing.phase in INSTALLS:
                self.installing[device] = seen
            elif doing.ticket:
                self.waiting[device] = seen
        self.halted_by.discard(device)
        halts = () if device in self._retired else record.halts
        if any(_about(h, self.release) and h.resumed >= self.resumed for h in halts):
            self.halted_by.add(device)

    def _count(self, record: StatusRecord) -> None:
        what = evidence(record, self.release, self.resumed)
        stage = stage_of(self.release, record.device, record.groups)
        before = self._counted.get(record.device)
        if before == (stage, what):
            return
        if before is not None:
            self.stages[before[0]].change(before[1], -1)
        self._counted[record.device] = (stage, what)
        self.stages[stage].change(what, 1)

    def swap(self, before: "Tally", after: "Tally") -> None:
        """Count what `after` counts too, instead of what `before` does, which may be empty.

        Both are of the same release and orders, and of some devices that are counted in no other
        way; neither is put anything into any more.
        """
        for mine, old, new in zip(self.stages, before.stages, after.stages, strict=True):
            mine.members += new.members - old.members
            mine.confirmed += new.confirmed - old.confirmed
            mine.failed += new.failed - old.failed
        for mine_of, gone, come in (
            (self.installing, before.installing, after.installing),
            (self.waiting, before.waiting, after.waiting),
        ):
            for device in gone:
                del mine_of[device]
            mine_of.update(come)
        self.halted_by -= before.halted_by
        self.halted_by |= after.halted_by
        self._parts.discard(before)
        self._parts.add(after)
        if self._heard is not None:
            self._heard = self._heard.swapped(
                before.presence(self._heard.since), after.presence(self._heard.since)
            )

    def heard(self, now: float, since: float = 0.0) -> tuple[int, int]:
        """How many devices of the floor are not silent, and how many are known.

        A neighbour that has given no sign since this device listens, from `since` on, is not heard:
        what was known before a restart proves nothing about now.
        """
        heard = self.presence(now)
        mine = self._known.values() if since else ()
        gone = sum(_gone(each, since) and not each.silent(now) for each in mine)
        return heard.present - gone, heard.known

    def presence(self, now: float) -> "Heard":
        """Counted anew only when somebody has fallen silent since, or was not silent yet."""
        if self._heard is None or not self._heard.since <= now <= self._heard.until:
            every = list(map(_due, self._known.values()))
            due = [each for each in every if each >= now]
            since = now
            if not self._parts:
                since = nextafter(max((each for each in every if each < now), default=-inf), inf)
            heard = Heard(since, min(due, default=inf), len(due), len(self._known))
            for each in self._parts:
                heard = heard.swapped(_NOBODY, each.presence(now))
            self._heard = heard
        return self._heard

    def lost(self, stage: int, now: float) -> list[DeviceId]:
        """The devices of that stage that fell silent while they installed."""
        return [
            device
            for device, seen in self.installing.items()
            if seen.silent(now) and self._counts_in(stage, seen.record)
        ]

    def ahead(self, device: DeviceId, ticket: int, now: float) -> list[DeviceId]:
        """Who installs, or has the right to do so before `device` with that ticket.

        Whoever installs and falls silent keeps its place until it is retired; whoever only waits
        loses it when it is overdue. That it does not answer is no reason: it may have begun, and
        restart.
        """
        mine = self._turn(device, ticket)
        before = [
            each
            for each, seen in self.waiting.items()
            if _ticket(seen) <= ticket
            and each != device
            and not seen.overdue(now)
            and self._turn(each, _ticket(seen)) < mine
        ]
        busy = [
            each
            for each, seen in self.installing.items()
            if each != device and not (each in self._retired and seen.overdue(now))
        ]
        return busy + before

    def next_ticket(self) -> int:
        """Higher than all that are out, as far as a record takes it: a neighbour may claim any
        number, and who then said a greater one would be heard by nobody. Whoever has the same
        one goes by its place."""
        out = [*self.waiting.values(), *self.installing.values()]
        return min(LARGEST, 1 + max(map(_ticket, out), default=0))

    def _counts_in(self, stage: int, record: StatusRecord) -> bool:
        if (
            record.device in self._retired
            or stage_of(self.release, record.device, record.groups) != stage
        ):
            return False
        return evidence(record, self.release, self.resumed) is Evidence.INSTALLS

    def _turn(self, device: DeviceId, ticket: int) -> tuple[int, int, str]:
        release = self.release
        return ticket, place(device, release.component, release.release), device


_due: Final = attrgetter("due")


def _gone(seen: Seen, since: float) -> bool:
    return seen.direct and seen.standing is not Standing.OWN and seen.last_sign < since


def _ticket(seen: Seen) -> int:
    return seen.record.deployment.ticket if seen.record.deployment else 0
