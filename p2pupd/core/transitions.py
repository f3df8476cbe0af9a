"""The lifecycle on one page: phase, what happened, under which condition, next phase, what to do.

Rows of one phase and event are tried from the top; the first whose condition holds is taken. The
diagram in docs/architecture.md is generated from this table. An event that has no row in a phase
is out of date there and changes nothing.

Facts that the order of rows relies on: the bootloader falls back by itself after a trial, and then
leaves the slot `armed` with no tries left until somebody disarms it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from p2pupd.core import admission
from p2pupd.model import commands as do
from p2pupd.model import events as on
from p2pupd.model.deployment import Deployment, Phase

MAX_ATTEMPTS: Final = 3
"""How often writing, arming, probing or committing is repeated before the release is given up."""

SLOT_EMPTY: Final = "slot-empty"
"""The installer's reason when the previous slot holds no image: then what runs is kept."""

Condition = Callable[[Deployment, Any], bool]


@dataclass(frozen=True, slots=True)
class Row:
    """`when` names the condition in the diagram; `again` counts this as a repeat of the phase."""

    phase: Phase
    event: type[on.Event]
    to: Phase
    orders: tuple[type[do.Command], ...] = ()
    when: str = ""
    condition: Condition | None = None
    again: bool = False


def _admitted(record: Deployment, event: on.FactsGathered) -> bool:
    return record.release is not None and admission.refusal(record.release, event.facts) is None


def _nothing_to_do(_: Deployment, event: on.OfferRejected) -> bool:
    return event.code == admission.NOTHING_TO_DO


def _transient(_: Deployment, event: on.CommandFailed) -> bool:
    return event.transient


def _may_repeat(record: Deployment, _: on.Event) -> bool:
    return record.attempt + 1 < MAX_ATTEMPTS


def _runs_new(record: Deployment, event: on.Booted) -> bool:
    return event.facts.booted == record.slot


def _runs_new_healthy(record: Deployment, event: on.Booted) -> bool:
    return _runs_new(record, event) and record.healthy


def _runs_new_may_repeat(record: Deployment, event: on.Booted) -> bool:
    return _runs_new(record, event) and _may_repeat(record, event)


def _trial_pending(record: Deployment, event: on.Booted) -> bool:
    """`attempt` counts the starts since the slot was armed: a bootloader that does not look at its
    environment must not make the device restart for ever."""
    armed = event.facts.armed == record.slot and event.facts.tries_left > 0
    return armed and record.attempt < MAX_ATTEMPTS


def _trial_used(record: Deployment, event: on.Booted) -> bool:
    return event.facts.armed == record.slot and event.facts.tries_left == 0


def _old_is_primary(record: Deployment, event: on.Booted) -> bool:
    return event.facts.primary == record.previous_slot and event.facts.armed is None


def _back_on_old(record: Deployment, event: on.Booted) -> bool:
    return _old_is_primary(record, event) and event.facts.booted == record.previous_slot


def _nothing_to_return_to(_: Deployment, event: on.CommandFailed) -> bool:
    return event.reason == SLOT_EMPTY


def _healthy(record: Deployment, _: on.Event) -> bool:
    return record.healthy


_P: Final = Phase
_BEFORE_INSTALL: Final = (_P.OFFERED, _P.VERIFIED, _P.FETCHING, _P.READY, _P.WAITING)

# fmt: off
TABLE: Final[tuple[Row, ...]] = (
    Row(_P.OFFERED, on.OfferVerified, _P.VERIFIED, (do.GatherFacts,)),
    Row(_P.OFFERED, on.OfferRejected, _P.CANCELLED, (), "nothing to do", _nothing_to_do),
    Row(_P.OFFERED, on.OfferRejected, _P.REFUSED),
    Row(_P.OFFERED, on.CommandFailed, _P.FAILED),

    Row(_P.VERIFIED, on.FactsGathered, _P.FETCHING, (do.Fetch,), "admitted", _admitted),
    Row(_P.VERIFIED, on.FactsGathered, _P.REFUSED, (), "not admitted"),
    Row(_P.VERIFIED, on.CommandFailed, _P.FAILED),

    Row(_P.FETCHING, on.Fetched, _P.READY, (do.AskTurn,)),
    Row(_P.FETCHING, on.CommandFailed, _P.FETCHING, (do.Fetch,), "can pass", _transient, again=True),
    Row(_P.FETCHING, on.CommandFailed, _P.FAILED),

    Row(_P.READY, on.TurnTaken, _P.INSTALLING, (do.WriteSlot,)),
    Row(_P.READY, on.TurnHeld, _P.WAITING),
    Row(_P.READY, on.CommandFailed, _P.FAILED),
    Row(_P.WAITING, on.TurnTaken, _P.INSTALLING, (do.WriteSlot,)),
    Row(_P.WAITING, on.TurnHeld, _P.WAITING),
    Row(_P.WAITING, on.CommandFailed, _P.FAILED),

    Row(_P.INSTALLING, on.Written, _P.ARMED, (do.ArmTrial,)),
    Row(_P.INSTALLING, on.CommandFailed, _P.INSTALLING, (do.WriteSlot,), "may repeat", _may_repeat, again=True),
    Row(_P.INSTALLING, on.CommandFailed, _P.FAILED),

    Row(_P.ARMED, on.Booted, _P.TRIAL, (do.Probe,), "runs the new slot", _runs_new),
    Row(_P.ARMED, on.Booted, _P.ARMED, (do.Reboot,), "trial pending", _trial_pending),
    Row(_P.ARMED, on.Booted, _P.REVERTING, (do.RollBack,), "trial used up", _trial_used),
    Row(_P.ARMED, on.Booted, _P.ARMED, (do.ArmTrial,), "may repeat", _may_repeat, again=True),
    Row(_P.ARMED, on.Booted, _P.REVERTING, (do.RollBack,)),
    Row(_P.ARMED, on.CommandFailed, _P.ARMED, (do.ReadBoot,), "may repeat", _may_repeat, again=True),
    Row(_P.ARMED, on.CommandFailed, _P.REVERTING, (do.RollBack,)),
    Row(_P.ARMED, on.RollbackWanted, _P.REVERTING, (do.RollBack,)),
    Row(_P.ARMED, on.Halted, _P.REVERTING, (do.RollBack,)),

    Row(_P.TRIAL, on.HealthPassed, _P.TRIAL, (do.Commit,)),
    Row(_P.TRIAL, on.HealthFailed, _P.REVERTING, (do.RollBack,)),
    Row(_P.TRIAL, on.Committed, _P.CONFIRMED, (), "was healthy", _healthy),
    Row(_P.TRIAL, on.Booted, _P.TRIAL, (do.Commit,), "runs the new slot, was healthy", _runs_new_healthy, again=True),
    Row(_P.TRIAL, on.Booted, _P.TRIAL, (do.Probe,), "runs the new slot, may repeat", _runs_new_may_repeat, again=True),
    Row(_P.TRIAL, on.Booted, _P.REVERTING, (do.RollBack,)),
    Row(_P.TRIAL, on.CommandFailed, _P.TRIAL, (do.ReadBoot,), "may repeat", _may_repeat, again=True),
    Row(_P.TRIAL, on.CommandFailed, _P.REVERTING, (do.RollBack,)),
    Row(_P.TRIAL, on.RollbackWanted, _P.REVERTING, (do.RollBack,)),

    Row(_P.CONFIRMED, on.RollbackWanted, _P.REVERTING, (do.RollBack,)),

    Row(_P.REVERTING, on.Booted, _P.REVERTED, (), "runs the old slot", _back_on_old),
    Row(_P.REVERTING, on.Booted, _P.REVERTING, (do.Reboot,), "old slot boots next", _old_is_primary),
    Row(_P.REVERTING, on.Booted, _P.REVERTING, (do.RollBack,), again=True),
    Row(_P.REVERTING, on.CommandFailed, _P.FAILED, (), "nothing to return to", _nothing_to_return_to),
    Row(_P.REVERTING, on.CommandFailed, _P.REVERTING, (do.RollBack,), again=True),

    *(Row(phase, on.NewerRelease, _P.SUPERSEDED, (do.StopFetch,)) for phase in _BEFORE_INSTALL),
    *(Row(phase, on.CancelWanted, _P.CANCELLED, (do.StopFetch,)) for phase in _BEFORE_INSTALL),
)
# fmt: on
