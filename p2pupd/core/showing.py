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

_RESTARTS: Final = frozenset({Phase.INSTALLING, Phase.ARMED, Phase.TRIAL, Phase.REVERTING})
RESTART: Final = 300.0
"""Seconds for which a device that has said that it restarts is not called silent."""


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
    record, doing = seen.record, seen.record.deployment
    restarts = doing is not None and doing.phase in _RESTARTS and now - seen.last_sign < RESTART
    if seen.silent(now) and not restarts:
        return Shown.SILENT
    if doing is not None and doing.phase in _DOING:
        return _DOING[doing.phase]
    if newest is None:
        return Shown.CURRENT if record.components else Shown.CARRIER
    if evidence(record, newest, resumed) is Evidence.FAILED:
        return Shown.FAILED
    runs = record.installed(newest.component)
    behind = runs is not None and runs.release < newest.release
    return Shown.BEHIND if behind else Shown.CURRENT
