"""One word for each device: what a screen shows that has room for no more."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from p2pupd.core.tally import Evidence, evidence
from p2pupd.model.deployment import Phase
from p2pupd.model.fleet import Seen, StatusRecord
from p2pupd.model.release import Release


class Shown(StrEnum):
    """CURRENT runs the newest release for it, BEHIND an older one while nothing is under way.
    FAILED: the newest one failed there, or is being taken back. CARRIER installs nothing."""

    CURRENT = "current"
    FETCHING = "fetching"
    WAITING = "waiting"
    INSTALLING = "installing"
    TRIAL = "trial"
    FAILED = "failed"
    BEHIND = "behind"
    SILENT = "silent"
    CARRIER = "carrier"


_DOING: Final = {
    Phase.OFFERED: Shown.FETCHING,
    Phase.VERIFIED: Shown.FETCHING,
    Phase.FETCHING: Shown.FETCHING,
    Phase.READY: Shown.WAITING,
    Phase.WAITING: Shown.WAITING,
    Phase.INSTALLING: Shown.INSTALLING,
    Phase.ARMED: Shown.TRIAL,
    Phase.TRIAL: Shown.TRIAL,
    Phase.REVERTING: Shown.FAILED,
}


def newest_for(record: StatusRecord, releases: Iterable[Release]) -> Release | None:
    """The highest release for what that device installs; None where there is none."""
    fitting = [
        each
        for each in releases
        if record.installed(each.component) and set(each.hardware_ids) & set(record.hardware_ids)
    ]
    return max(fitting, key=lambda each: each.release, default=None)


def shown(seen: Seen, newest: Release | None, resumed: int, now: float) -> Shown:
    """The word for a device, where `newest` is `newest_for` it and `resumed` the sequence of the
    last resume of that."""
    record = seen.record
    if seen.silent(now):
        return Shown.SILENT
    if record.deployment is not None and record.deployment.phase in _DOING:
        return _DOING[record.deployment.phase]
    if newest is None:
        return Shown.CURRENT if record.components else Shown.CARRIER
    if evidence(record, newest, resumed) is Evidence.FAILED:
        return Shown.FAILED
    runs = record.installed(newest.component)
    behind = runs is not None and runs.release < newest.release
    return Shown.BEHIND if behind else Shown.CURRENT
