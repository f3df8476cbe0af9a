"""One step of a deployment: a record and an event in, a record and commands out. Total and pure."""

from typing import Any, Final

from p2pupd.core import admission
from p2pupd.core.transitions import TABLE, Row
from p2pupd.model import events as on
from p2pupd.model.commands import Command
from p2pupd.model.deployment import Deployment, Phase

LEFT: Final = "rollback-wanted"
"""The reason of a deployment that the operator went back from."""

HALTED: Final = "halted"
"""The reason of one that the device went back from before it had started into the release."""

Step = tuple[Deployment, tuple[Command, ...]]


def step(record: Deployment, event: on.Event, now: float) -> Step:
    """What the deployment becomes at `now` (Unix seconds), and what is to be done for it.

    An event that does not belong to the record's phase is out of date: the same record comes back
    with no commands. Never raises.
    """
    row = _row(record, event)
    if row is None:
        return record, ()
    attempt = record.attempt + 1 if row.again else _attempt(record, row)
    after = record.to(row.to, now, attempt=attempt, **_facts(record, event, row))
    return after, tuple(command(after.id, after.attempt) for command in row.orders)


def _row(record: Deployment, event: on.Event) -> Row | None:
    if event.deployment != record.id:
        return None
    for row in TABLE:
        here = row.phase is record.phase and isinstance(event, row.event)
        if here and (row.condition is None or row.condition(record, event)):
            return row
    return None


def _attempt(record: Deployment, row: Row) -> int:
    """Repeats are counted as long as the phase stays; an end keeps the count of what failed."""
    return record.attempt if row.to is record.phase or row.to.ended else 0


def _facts(record: Deployment, event: on.Event, row: Row) -> dict[str, Any]:
    """What the event teaches the record beyond its phase."""
    match event:
        case on.OfferVerified(release=release):
            return {"release": release}
        case on.OfferRejected() | on.CommandFailed():
            return _failure(record, event, row)
        case on.FactsGathered() if row.to is Phase.REFUSED and record.release is not None:
            refusal = admission.refusal(record.release, event.facts)
            return {} if refusal is None else refusal.fields()
        case on.TurnHeld() | on.HealthFailed():
            return {"reason": event.reason, "detail": event.detail}
        case on.NewerRelease() | on.CancelWanted() | on.RollbackWanted() | on.Halted():
            return {"reason": _SLUGS[type(event)], "detail": event.detail}
        case on.Written(slot=slot, previous_slot=previous):
            return {"slot": slot, "previous_slot": previous}
        case on.HealthPassed():
            return {"healthy": True}
        case on.Booted() if row.to is Phase.REVERTING and not record.reason:
            return {"reason": "trial-failed", "detail": _why_reverting(record, event)}
        case on.TurnTaken() | on.Fetched() | on.Committed():
            return {"reason": "", "detail": "", "code": 0}
        case _:
            return {}


def _failure(
    record: Deployment, event: on.OfferRejected | on.CommandFailed, row: Row
) -> dict[str, Any]:
    """What goes wrong on a way back that was asked for does not hide that it was."""
    if row.to is Phase.REVERTING and record.reason in (LEFT, HALTED):
        return {}
    return {"reason": event.reason, "detail": event.detail, "code": event.code}


_SLUGS = {
    on.NewerRelease: "superseded",
    on.CancelWanted: "cancelled",
    on.RollbackWanted: LEFT,
    on.Halted: HALTED,
}


def _why_reverting(record: Deployment, event: on.Booted) -> str:
    facts = event.facts
    if facts.booted == record.slot:
        return f"slot {record.slot} ran, but its daemon did not stay up long enough to prove it"
    if facts.armed == record.slot and facts.tries_left > 0:
        return (
            f"slot {record.slot} is armed, and the device starts slot {facts.booted} again and "
            "again: does the bootloader read the boot environment that is configured?"
        )
    return f"slot {record.slot} was tried and slot {facts.booted} came up instead"
