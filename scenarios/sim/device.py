"""One device of a simulated floor: its view, what it remembers, and the way of the release in it.

What it decides it decides by `core`; what it says goes through `wire`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from p2pupd.core.course import Course, observe
from p2pupd.core.digest_tree import DIGITS, compare, name_of
from p2pupd.core.orders import NO_ORDERS
from p2pupd.core.tally import INSTALLS
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
from scenarios.sim.view import View
from tests.builders import COMPONENT, HARDWARE

REALM = Realm("0" * 16)
RULES = SiteRules()
ZEROS = bytes(8)
STEADY: Final = frozenset({"halted", "wave", "soak", "window"})
"""Gates that open only when the floor says something new, or at the time that they tell."""

Library = dict[bytes, Seen]
"""What was decoded already: in one process nobody need do so twice. Instead of an envelope with key
and signature a record has its device's id in front."""


def carried(said: Sequence[Seen], library: Library) -> list[Seen]:
    """What a message that says this says to those who open it."""
    message = Ask(REALM, "", ZEROS, tuple(Item(each.raw, 0) for each in said)).encode()
    return [library[item.raw] for item in decode_ask(message).items]


@dataclass(slots=True)
class Device:
    """`part` is the part of the network in which it is."""

    id: DeviceId
    groups: tuple[str, ...]
    release: Release
    beat: int
    library: Library
    view: View
    born: float
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
    news: int = 0
    about: tuple[object, ...] = ()
    speaks: bool = False
    fresh: set[bytes] = field(default_factory=set)
    closed: Gate | None = None
    course: Course = field(init=False)

    def __post_init__(self) -> None:
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
        changed, last = self.look(now), self.closed
        steady = not changed and last is not None and last.reason in STEADY
        if last is not None and steady and (last.until is None or now < last.until):
            return last
        asked = self._question(now, local)
        if not wants_ticket(asked):
            self.ticket = None
        elif self.ticket is None:
            self.ticket = Ticket(asked.tally.next_ticket(), 0.0)
            self.ticket_since = now
            asked = self._question(now, local)
        self.closed = next(closed_gates(asked), None)
        return self.closed

    def look(self, now: float) -> bool:
        """Take note of what the floor proves by now; whether that is anything new."""
        tally, changed = self.view.tally()
        if changed:
            self.course = observe(self.course, tally, now)
        return changed

    def _question(self, now: float, local: LocalTime) -> Question:
        ticket = self.ticket and Ticket(self.ticket.number, now - self.ticket_since)
        return Question(
            release=self.release,
            device=self.id,
            groups=self.groups,
            now=now,
            local=local,
            tally=self.view.tally()[0],
            course=self.course,
            orders=NO_ORDERS,
            rules=RULES,
            here=Here(listening=now - self.started, ticket=ticket),
        )

    # -- what it says ----------------------------------------------------------------------------

    def say(self, now: float, *, beat: bool = False) -> None:
        """Make its record anew; unless it says something new, or it is time, nothing happens."""
        about = (self.phase, self.ticket and self.ticket.number, self.ended, self.course.halted)
        news = about != self.about
        if not news and not beat:
            return
        self.about = about
        self.sequence += 1
        self.news = self.sequence if news else self.news
        record = self._record(now)
        payload = records.encode(record)
        raw = self.id.encode() + payload
        decoded = records.decode(payload, self.id)
        stamp = stamp_of(record.epoch, record.sequence, raw)
        seen = self.library[raw] = Seen(decoded, stamp, raw, now, self.born)
        own = self.library[b"own" + raw] = replace(seen, standing=Standing.OWN)
        self.view.keep(own)
        if news:
            self.fresh.add(name_of(self.id))

    def _record(self, now: float) -> StatusRecord:
        halted = self.course.halted is not None
        return StatusRecord(
            device=self.id,
            realm=REALM,
            site="",
            epoch=1,
            sequence=self.sequence,
            news=self.news,
            at=int(now),
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

    def _deployment(self) -> DeploymentState | None:
        if self.phase is None:
            return None
        number = self.ticket.number if self.ticket else 0
        component, release = self.release.component, self.release.release
        return DeploymentState(component, "7", release, self.phase, 0, ticket=number)

    # -- what it hears ---------------------------------------------------------------------------

    def tell(self) -> list[Seen]:
        """Its news, as many as one message takes; what does not fit is for the next."""
        names = sorted(self.fresh)
        found, count = self._fitting(names)
        self.fresh = set(names[count:])
        return [self.library[each.raw] for each in found]

    def answer(self, raw: bytes) -> bytes:
        """As FleetSync.answer."""
        ask = decode_ask(raw)
        self._take(ask.items)
        here = self.view.stamps(ask.part)
        answer = Answer(here, self.view.news(), items=self._items(ask.wanted)[0])
        if ask.wanted or here == ask.digest:
            return answer.encode()
        held = self.view.items(ask.part)
        if len(held) <= wire.MAX_LISTED:
            return replace(answer, listed=held).encode()
        return replace(answer, children=self.view.children(ask.part)).encode()

    def compare(self, other: "Device") -> None:
        """As FleetSync._compare, message by message, over a line that loses nothing."""
        parts = [""]
        while parts:
            part = parts.pop()
            said = Ask(REALM, part, self.view.stamps(part)).encode()
            answer = decode_answer(other.answer(said))
            if answer.listed is not None:
                found = compare(self.view.items(part), answer.listed)
                self._move(other, found.they_lack, found.we_lack)
            for digit, digest in zip(DIGITS, answer.children, strict=False):
                if digest != self.view.stamps(part + digit):
                    parts.append(part + digit)

    def meet(self, other: "Device") -> None:
        """What `compare` comes to, without its messages."""
        they_lack, we_lack = self.view.differs(other.view)
        other.believe(self.library[each.raw] for each in they_lack)
        self.believe(self.library[each.raw] for each in we_lack)

    def believe(self, sayings: Iterable[Seen]) -> None:
        """Take them in; what is new here as well goes on."""
        self.fresh.update(self.view.take(sayings, self.id))

    def _move(self, other: "Device", give: Sequence[bytes], want: Sequence[bytes]) -> None:
        while give or want:
            items, count = self._items(give)
            ask = Ask(REALM, "", ZEROS, items, tuple(want[: wire.MAX_WANTED]))
            answer = decode_answer(other.answer(ask.encode()))
            self._take(answer.items)
            give, want = give[count:], want[len(answer.items) :] if answer.items else ()

    def _items(self, names: Sequence[bytes]) -> tuple[tuple[Item, ...], int]:
        found, count = self._fitting(names)
        return tuple(Item(each.raw, 0) for each in found), count

    def _fitting(self, names: Sequence[bytes]) -> tuple[list[Seen], int]:
        """As many of them as one message takes; how many names that were."""
        found: list[Seen] = []
        size = 0
        for count, name in enumerate(names):
            seen = self.view.named(name)
            if seen is None:
                continue
            size += len(seen.raw)
            if size > wire.ITEMS_BYTES or len(found) == wire.MAX_ITEMS:
                return found, count
            found.append(seen)
        return found, len(names)

    def _take(self, items: Iterable[Item]) -> None:
        self.believe(self.library[item.raw] for item in items)
