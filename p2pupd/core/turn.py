"""Is it this device's turn to install? Decided from signed policy, signed orders, what the floor
says about itself, and what the site allows; no server is asked.

Every gate has a stable code. `closed_gates` names them all, and `p2pupd why` prints them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from p2pupd.core.course import Course, succeeded_now
from p2pupd.core.orders import SiteOrders
from p2pupd.core.tally import Tally
from p2pupd.core.waves import earlier_stages, soak_minutes, stage_name, stage_of
from p2pupd.core.windows import LocalTime, is_open, next_change, parse_window
from p2pupd.model.fleet import patience
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Release, Urgency

MINUTE: Final = 60.0
LEAST_TICKET: Final = 4
"""A ticket is good for so many times `settle`, less one, however often its device speaks."""
SHOWN_DIGITS: Final = 7
SHOWN_DEVICES: Final = 3


@dataclass(frozen=True, slots=True)
class Gate:
    """A closed gate: stable slug and a sentence. `until` (Unix seconds): when to look again."""

    reason: str
    detail: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A place among those that install at once, asked for `waited` seconds ago."""

    number: int
    waited: float


@dataclass(frozen=True, slots=True)
class SiteRules:
    """What the site's owner allows. `windows` as `core.windows` reads them.

    `devices`: so many there are at least. `settle`: the seconds that news needs to cross the floor
    and come back.
    """

    consent: bool = False
    windows: tuple[str, ...] = ()
    deferrals: int = 0
    devices: int = 2
    settle: float = 180.0


@dataclass(frozen=True, slots=True)
class Here:
    """What only the device itself knows.

    `approved`: its operator has consented; `ahead`: also to install out of turn. `copying`: a stick
    is being copied here for others, which the restart would cut short. `interlocks` are the closed
    ones. `listening`: for so many seconds it has heard the floor.
    """

    approved: bool = False
    ahead: bool = False
    copying: bool = False
    interlocks: tuple[Gate, ...] = ()
    listening: float = 0.0
    ticket: Ticket | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """Whose turn is asked about, when, and all that the answer depends on. `now` is Unix seconds,
    `local` what a clock on the wall shows then."""

    release: Release
    device: DeviceId
    groups: tuple[str, ...]
    now: float
    local: LocalTime
    tally: Tally
    course: Course
    orders: SiteOrders
    rules: SiteRules
    here: Here

    @property
    def stage(self) -> int:
        """In which stage the device is."""
        return stage_of(self.release, self.device, self.groups)

    @property
    def overdue(self) -> bool:
        """Whether the signer's deadline is over."""
        deadline = self.release.rollout.deadline
        return deadline is not None and self.now >= deadline

    @property
    def emergency(self) -> bool:
        return self.release.urgency is Urgency.EMERGENCY


def closed_gates(asked: Question) -> Iterator[Gate]:
    """All that holds the release back here and now. Whoever wants only the first stops there."""
    for rule in (*_NEVER_PASSED, *_COMMON):
        yield from rule(asked)
    if not asked.here.ahead:
        for rule in _TURN:
            yield from rule(asked)


def wants_ticket(asked: Question) -> bool:
    """Whether nothing but the number of those that install at once can hold it back.

    A ticket that has run out is given up first; the next question asks for another one.
    """
    if asked.here.ahead or asked.release.rollout.max_concurrent is None or _run_out(asked):
        return False
    return all(gate.reason in ("reserving", "full") for gate in closed_gates(asked))


def deferrable(asked: Question) -> str | None:
    """Why this device's operator may not defer the release (any more); None where he may."""
    allowed, used = asked.rules.deferrals, asked.course.deferrals
    if asked.release.urgency is not Urgency.NORMAL:
        return f"it is a {asked.release.urgency} release"
    if asked.overdue:
        return "its deadline is over"
    if used >= allowed:
        return f"it was deferred {used} time(s), and site.deferrals allows {allowed}"
    return None


# -- what nobody passes -------------------------------------------------------------------------


def _held(asked: Question) -> Iterator[Gate]:
    release = asked.release
    order = asked.orders.held(release.component, release.release)
    if order is not None:
        yield Gate("hold", f"the operator {order.operator[:8]} holds it; a signed resume ends that")


def halt(asked: Question) -> Gate | None:
    """Why a device that has not started into the release yet must not do so any more."""
    return next(_halted(asked), None)


def _halted(asked: Question) -> Iterator[Gate]:
    limit = asked.release.rollout.max_failures
    if not asked.course.is_halted(asked.tally.resumed):
        return
    said = f"it failed on {_share(limit)} or more of a wave" if limit else "the floor says so"
    number = asked.release.release
    yield Gate(
        "halted",
        f"the release is halted: {said}; a newer release or `p2pupd site resume {number}` ends it",
    )


def _suspect(asked: Question) -> Iterator[Gate]:
    """Devices that fell silent while they installed may be dead of it."""
    limit = asked.release.rollout.max_failures
    if limit is None:
        return
    for number, stage in enumerate(asked.tally.stages):
        lost = asked.tally.lost(number, asked.now)
        if lost and stage.over(limit, len(lost)):
            name = stage_name(asked.release.rollout, number)
            yield Gate(
                "suspect",
                f"{len(lost)} of {stage.members} devices of {name} fell silent while they "
                f"installed it ({_names(lost)}); waits for a word of them, or for "
                "`p2pupd site retire`",
            )


def _interlocked(asked: Question) -> Iterator[Gate]:
    yield from asked.here.interlocks


# -- what an emergency passes -------------------------------------------------------------------


def _copying(asked: Question) -> Iterator[Gate]:
    if asked.here.copying and not asked.emergency:
        yield Gate("copying", "waits until the stick in this device has been copied")


# -- what `approve --ahead` passes --------------------------------------------------------------


def _retired(asked: Question) -> Iterator[Gate]:
    if asked.device in asked.orders.retired():
        yield Gate("retired", "the operator has retired this device from rollouts")


def _wave(asked: Question) -> Iterator[Gate]:
    policy, tally = asked.release.rollout, asked.tally
    for number in earlier_stages(policy, asked.stage):
        stage = tally.stages[number]
        if not succeeded_now(tally, number):
            yield Gate(
                "wave",
                f"is in {stage_name(policy, asked.stage)}, and of {stage_name(policy, number)} "
                f"{stage.confirmed} of {stage.members} devices have it and work, "
                f"{stage.failed} failed",
            )
            return
        since = asked.course.succeeded.get(number, asked.now)
        until = since + soak_minutes(policy, number) * MINUTE
        if asked.now < until:
            left = -int((asked.now - until) // MINUTE)
            yield Gate(
                "soak",
                f"is in {stage_name(policy, asked.stage)}, and {stage_name(policy, number)} has to "
                f"prove itself for {left} more minute(s)",
                until,
            )
            return


def _cut_off(asked: Question) -> Iterator[Gate]:
    """Nobody concludes from silence that all is well."""
    if not _needs_news(asked):
        return
    heard, known = asked.tally.heard(asked.now, asked.now - asked.here.listening)
    floor = max(known, asked.rules.devices)
    if heard * 2 <= floor:
        yield Gate(
            "cut-off",
            f"hears {heard} of {floor} devices of its site, itself included, and more than half "
            "must be heard; where it is alone, set site.devices = 1",
        )
    elif asked.here.listening < asked.rules.settle:
        yield Gate(
            "listening",
            f"has listened to the floor for {int(asked.here.listening)} s only",
            asked.now + asked.rules.settle - asked.here.listening,
        )


def _needs_news(asked: Question) -> bool:
    policy = asked.release.rollout
    return policy.max_concurrent is not None or len(earlier_stages(policy, asked.stage)) > 0


def _window(asked: Question) -> Iterator[Gate]:
    yield from _closed_window(
        asked, "window", asked.release.rollout.windows, "its signer", lambda q: q.overdue
    )


def _maintenance(asked: Question) -> Iterator[Gate]:
    yield from _closed_window(
        asked, "maintenance", asked.rules.windows, "site.windows", lambda _: False
    )


def _closed_window(
    asked: Question,
    code: str,
    texts: tuple[str, ...],
    whose: str,
    passed: Callable[[Question], bool],
) -> Iterator[Gate]:
    windows = [parse_window(each) for each in texts]
    if asked.emergency or passed(asked) or is_open(windows, asked.local):
        return
    wait = next_change(windows, asked.local)
    opens = f", next on {asked.local.later(wait)}" if wait is not None else ""
    until = None if wait is None else asked.now - asked.now % MINUTE + wait * MINUTE
    yield Gate(code, f"{whose} allows it only {', '.join(texts)}{opens}", until)


def _consent(asked: Question) -> Iterator[Gate]:
    release = asked.release
    given = asked.here.approved or asked.orders.approved(release.component, release.release)
    if asked.rules.consent and not given and not asked.emergency:
        yield Gate("consent", f"waits for `p2pupd approve {release.release}`")


def _deferred(asked: Question) -> Iterator[Gate]:
    until = asked.course.deferred
    if asked.now < until and not asked.overdue and asked.release.urgency is Urgency.NORMAL:
        left = -int((asked.now - until) // MINUTE)
        yield Gate("deferred", f"was deferred by its operator, {left} more minute(s)", until)


def _full(asked: Question) -> Iterator[Gate]:
    most = asked.release.rollout.max_concurrent
    if most is None:
        return
    ticket, settle = asked.here.ticket, asked.rules.settle
    if ticket is None:
        yield Gate("reserving", "asks the floor for a place among those that install at once")
        return
    before = asked.tally.ahead(asked.device, ticket.number, asked.now)
    if _run_out(asked):
        yield Gate("reserving", "has waited for long, and asks anew for a place", asked.now + 1)
    elif len(before) >= most:
        yield Gate("full", f"{most} may install at once, and these are before it: {_names(before)}")
    elif ticket.waited < settle:
        until = asked.now + settle - ticket.waited
        yield Gate("reserving", "has asked for a place, and waits for objections", until)


def _run_out(asked: Question) -> bool:
    """Whether others may hold this device for silent, and its place for lost, before they hear that
    it has begun: signs of life can be late, and it does not know who heard them."""
    ticket, said = asked.here.ticket, asked.tally.waiting.get(asked.device)
    if ticket is None or said is None:
        return False
    settle = asked.rules.settle
    lost = max(patience(said.record.beat), LEAST_TICKET * settle)
    return ticket.waited > lost - settle


_NEVER_PASSED: Final = (_held, _halted, _suspect, _interlocked)
_COMMON: Final = (_copying,)
_TURN: Final = (
    _retired,
    _wave,
    _cut_off,
    _window,
    _maintenance,
    _consent,
    _deferred,
    _full,
)


def floor_gates(asked: Question) -> Iterator[Gate]:
    """Of another device: what follows from the signed policy, the orders and the records. Only the
    device itself knows the rest."""
    for rule in (_held, _halted, _suspect, _retired, _wave):
        yield from rule(asked)


def _share(permille: int) -> str:
    return f"{permille / 10:g} %"


def _names(devices: list[DeviceId]) -> str:
    shown = ", ".join(each[:SHOWN_DIGITS] for each in sorted(devices)[:SHOWN_DEVICES])
    left = len(devices) - SHOWN_DEVICES
    return f"{shown} and {left} more" if left > 0 else shown
