"""Which update can be undone: the running release, if its predecessor can still boot."""

from typing import Final

from p2pupd.engine.settings import DeviceSettings
from p2pupd.errors import DowngradeError, NothingToDo, UsageError
from p2pupd.journal.interface import Journal
from p2pupd.model.deployment import Deployment, Phase

LOOK_BACK: Final = 1_000_000
"""How many deployments are looked through for the one that runs now: all that are kept."""


def way_back(journal: Journal, settings: DeviceSettings) -> Deployment:
    """The confirmed deployment whose previous slot may come back. Blocks.

    Raises NothingToDo where no update was confirmed since the last return, UsageError where the
    previous slot was overwritten, DowngradeError below the signed security floor.
    """
    newest = journal.deployments(LOOK_BACK)
    ended = (each for each in newest if each.phase in (Phase.CONFIRMED, Phase.REVERTED))
    record = next(ended, None)
    if record is None or record.phase is Phase.REVERTED or record.previous_slot is None:
        raise NothingToDo("no confirmed update to go back from")
    slots = journal.slots()
    previous = slots.get(record.previous_slot)
    if record.previous_slot in slots and previous is None:
        raise UsageError(f"slot {record.previous_slot} holds no complete image to go back to")
    floor = record.release.security_floor if record.release else 0
    before = previous.release if previous else settings.factory_release
    if before < floor:
        raise DowngradeError(f"release {before} is below the signed security floor {floor}")
    return record
