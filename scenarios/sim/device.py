"""One device of a simulated floor: its view, what it remembers, and the way of the release in it.

What it decides it decides by `core`; what it says goes through `wire`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from p2pupd.core.course import Course, observe
from p2pupd.core.digest_tree import DIGITS, Index, compare, name_of
from p2pupd.core.floor import Floor, Taken
from p2pupd.core.orders import NO_ORDERS
from p2pupd.core.tally import INSTALLS, Tally
from p2pupd.core.turn import Gate, Here, Question, SiteRules, Ticket, closed_gates, wants_ticket
from p2pupd.core.windows import LocalTime
from p2pupd.model.deployment import Phase
from p2pupd.model.device import Role
from p2pupd.model.fleet import (
    ComponentState,
    DeploymentState,
    Halt,
    Seen,
    Standing,
    StatusRecord,
    Update,
)
from p2pupd.model.ids import ComponentId, DeviceId, Realm
from p2pupd.model.release import Release
from p2pupd.trust.records import stamp_of
from p2pupd.wire import records
from p2pupd.wire import sync as wire
from p2pupd.wire.sync import Answer, Ask, Item, decode_answer, decode_ask
from tests.builders import COMPONENT, HARDWARE

REALM = Realm("0" * 16)
RULES = SiteRules()
ZEROS = bytes(8)

Library = dict[bytes, Seen]
"""What was decoded already: in one process nobody need do so twice. Instead of an envelope with key
and signature a record has its device's id in front."""


@dataclass(slots=True)
class Device:
    """`part` is the part of the network in which it is."""

    id: DeviceId
    groups: tuple[str, ...]
    release: Release
    beat: int
    library: Library
    limit: int
    part: int = 0
    on: bool = True
    dead: bool = False
    started: float = 0.0
    phase: Phase | None = None
    runs: int = 6
    ended: Update | None = None
    ticket: Ticket | None = None
    ticket_since: float = 0.0
    sequence: int = 0
    said: StatusRecord | None = None
    raw: bytes = b""
    speaks: bool = False
    fresh: set[bytes] = field(default_factory=set)
    index: Index = field(default_factory=Index)
    floor: Floor = field(init=False)
    tally: Tally = field(init=False)
    course: Course = field(init=False)

    def __post_init__(self) -> None:
        self.floor = Floor(self.limit, self.index)
        self.tally = Tally(self.release)
        self.course = Course(self.release.component, self.release.release)

    # -- the release -----------------------------------------------------------------------------

    @property
    def installs(self) -> bool:
        """Whether it is busy with the release."""
        return self.phase in INSTALLS

    @property
    def done(self) -> bool:
        """Whether it will not ask for its turn any more."""
        return self.dead or self.ended is not None

    def ask(self, now: float, local: LocalTime) -> Gate | None:
        """The first closed gate; None takes the turn. As engine/turns.py does it."""
        asked = self._question(now, local)
        if not wants_ticket(asked):
            self.ticket = None
        elif self.ticket is None:
            self.ticket = Ticket(asked.tally.next_ticket(), 0.0)
            self.ticket_since = now
            asked = self._question(now, local)
        return next(closed_gates(asked), None)

    def look(self, now: float) -> None:
        """Take note of what the floor proves by now."""
        for device in self.floor.touched():
            seen = self.floor.get(device)
            if seen is not None:
                self.tally.put(seen)
        self.course = observe(self.course, self.tally, now)

    def _question(self, now: float, local: LocalTime) -> Question:
        self.look(now)
        ticket = self.ticket and Ticket(self.ticket.number, now - self.ticket_since)
        return Question(
            release=self.release,
            device=self.id,
            groups=self.groups,
            now=now,
            local=local,
            tally=self.tally,
            course=self.course,
            orders=NO_ORDERS,
            rules=RULES,
            here=Here(listening=now - self.started, ticket=ticket),
        )

    # -- what it says ----------------------------------------------------------------------------

    def say(self, now: float, *, beat: bool = False) -> None:
        """Make its record anew; unless it says something new, or it is time, nothing happens."""
        halted = self.course.halted is not None
        content = StatusRecord(
            device=self.id,
            realm=REALM,
            site="",
            epoch=0,
            sequence=0,
            news=0,
            at=0,
            beat=self.beat,
            role=Role.PEER,
            version="0",
            hardware_ids=(HARDWARE,),
            groups=self.groups,
            components=(ComponentState(COMPONENT, str(self.runs), self.runs),),
            deployment=self._deployment(),
            history=(self.ended,) if self.ended else (),
            halts=(Halt(ComponentId(COMPONENT), self.release.release),) if halted else (),
        )
        if content == self.said and not beat:
            return
        news = content != self.said
        self.said = content
        self.sequence += 1
        number = self.sequence if news else self._news()
        record = replace(content, epoch=1, sequence=self.sequence, news=number, at=int(now))
        payload = records.encode(record)
        self.raw = self.id.encode() + payload
        seen = self._seen(self.raw, records.decode(payload, self.id), now)
        self.library[self.raw] = seen
        self.floor.take(replace(seen, standing=Standing.OWN))
        if news:
            self.fresh.add(name_of(self.id))

    def _news(self) -> int:
        held = self.floor.get(self.id)
        return held.record.news if held else self.sequence

    def _deployment(self) -> DeploymentState | None:
        if self.phase is None:
            return None
        number = self.ticket.number if self.ticket else 0
        component, release = self.release.component, self.release.release
        return DeploymentState(component, "7", release, self.phase, 0, ticket=number)

    @staticmethod
    def _seen(raw: bytes, record: StatusRecord, heard: float) -> Seen:
        stamp = stamp_of(record.epoch, record.sequence, raw)
        return Seen(record, stamp, raw, heard, heard)

    # -- what it hears ---------------------------------------------------------------------------

    def message(self) -> bytes:
        """Its news, as one question to a neighbour."""
        return Ask(REALM, "", ZEROS, self._items(sorted(self.fresh))).encode()

    def hear(self, raw: bytes, now: float) -> None:
        """Take a neighbour's news in; what is new here as well goes on."""
        self._take(decode_ask(raw).items, now)

    def answer(self, raw: bytes, now: float) -> bytes:
        """As FleetSync.answer."""
        ask = decode_ask(raw)
        self._take(ask.items, now)
        stamps = self.index.stamps
        here = stamps.digest(ask.part)
        answer = Answer(here, self.index.news.digest(), items=self._items(ask.wanted))
        if ask.wanted or here == ask.digest:
            return answer.encode()
        held = stamps.items(ask.part)
        if len(held) <= wire.MAX_LISTED:
            return replace(answer, listed=held).encode()
        return replace(answer, children=stamps.children(ask.part)).encode()

    def compare(self, other: "Device", now: float) -> None:
        """As FleetSync._compare, over a line that loses nothing."""
        stamps, parts = self.index.stamps, [""]
        while parts:
            part = parts.pop()
            said = Ask(REALM, part, stamps.digest(part)).encode()
            answer = decode_answer(other.answer(said, now))
            if answer.listed is not None:
                found = compare(stamps.items(part), answer.listed)
                self._move(other, found.they_lack, found.we_lack, now)
            for digit, digest in zip(DIGITS, answer.children, strict=False):
                if digest != stamps.digest(part + digit):
                    parts.append(part + digit)

    def _move(
        self, other: "Device", give: tuple[bytes, ...], want: tuple[bytes, ...], now: float
    ) -> None:
        for start in range(0, max(len(give), len(want)), wire.MAX_WANTED):
            items = self._items(give[start : start + wire.MAX_WANTED])
            names = want[start : start + wire.MAX_WANTED]
            said = Ask(REALM, "", ZEROS, items, names).encode()
            self._take(decode_answer(other.answer(said, now)).items, now)

    def _items(self, names: Iterable[bytes]) -> tuple[Item, ...]:
        found = [seen for name in names if (seen := self.floor.named(name)) is not None]
        return tuple(Item(each.raw, 0) for each in found[: wire.MAX_ITEMS])

    def _take(self, items: Iterable[Item], now: float) -> None:
        for item in items:
            seen = self.library.get(item.raw)
            assert seen is not None, "every payload was said by its device"
            device = seen.record.device
            held = self.floor.get(device)
            if device == self.id or (held is not None and held.raw is seen.raw):
                continue
            if self.floor.take(seen) is Taken.NEWS:
                self.fresh.add(name_of(device))
