"""After a start: what each open deployment does first. The journal said how far it came."""

from dataclasses import replace
from typing import Final

from p2pupd.core.lifecycle import HALTED
from p2pupd.core.transitions import MAX_ATTEMPTS
from p2pupd.errors import ContentError, FetchError, SpaceError
from p2pupd.model import commands as do
from p2pupd.model import events as on
from p2pupd.model.deployment import Deployment, Phase

_FIRST: Final[dict[Phase, type[do.Command]]] = {
    Phase.VERIFIED: do.GatherFacts,
    Phase.FETCHING: do.Fetch,
    Phase.READY: do.AskTurn,
    Phase.WAITING: do.AskTurn,
    Phase.INSTALLING: do.WriteSlot,
    Phase.ARMED: do.ReadBoot,
    Phase.TRIAL: do.ReadBoot,
    Phase.REVERTING: do.ReadBoot,
}

_COUNTED: Final = frozenset({Phase.INSTALLING, Phase.ARMED, Phase.REVERTING})


def recover(record: Deployment) -> tuple[Deployment, do.Command | on.Event]:
    """The record to journal and the first command, or the first event, of an open deployment.

    An offer's bytes do not survive a power cut, so OFFERED is cancelled and offered again by its
    source. A start counts as an attempt at what brings a start about: a device that dies of
    writing its slot stops trying, and one that restarts in vain does it ever more rarely.
    """
    if record.phase is Phase.OFFERED:
        return record, on.CancelWanted(record.id, "stopped before it was verified")
    if record.phase in _COUNTED:
        record = replace(record, attempt=record.attempt + 1)
    if record.phase is Phase.INSTALLING and record.attempt >= MAX_ATTEMPTS:
        return record, on.CommandFailed(
            record.id, "interrupted", "writing the slot was interrupted too often", 1
        )
    first = _FIRST[record.phase]
    return record, first(record.id, 0 if first is do.ReadBoot else record.attempt)


def proved_bad(record: Deployment) -> bool:
    """Would the same release end the same way here? Then it is remembered and not tried again.

    Whoever went back before it had started into the release has proved nothing. Wrong bytes and
    installing in vain, as often as it is tried, are the release's fault; lack of space, bytes that
    could not be had, and a boot environment that cannot be read are not.
    """
    if record.phase is Phase.REVERTED:
        return record.reason != HALTED
    blameless = record.code in (SpaceError.code, FetchError.code)
    in_vain = record.code == ContentError.code or record.attempt + 1 >= MAX_ATTEMPTS
    return record.phase is Phase.FAILED and in_vain and not blameless
