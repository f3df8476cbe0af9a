"""How far a release has come on a floor, and when it will be everywhere."""

from collections.abc import Iterable
from typing import Final

from p2pupd.core.tally import Evidence, Tally, evidence
from p2pupd.core.waves import soak_minutes
from p2pupd.model.deployment import Phase
from p2pupd.model.fleet import DeploymentState, StatusRecord
from p2pupd.model.release import Release

FETCHED: Final = 0.6
"""The part of a device's way that it has behind it when it has all bytes."""
WRITTEN: Final = 0.8
_REACHED: Final = {
    Phase.READY: FETCHED,
    Phase.WAITING: FETCHED,
    Phase.ARMED: WRITTEN,
    Phase.TRIAL: 0.9,
    Phase.REVERTING: 0.95,
}
LEAST_WATCHED: Final = 2.0
"""Seconds of progress from which a forecast is made at the earliest."""
MINUTE: Final = 60.0


def share_done(records: Iterable[StatusRecord], release: Release, resumed: int) -> float:
    """0 to 1: how much of its way `release` has behind it, over all devices that it is for."""
    shares = []
    for record in records:
        what = evidence(record, release, resumed)
        if what in (Evidence.CONFIRMED, Evidence.FAILED):
            shares.append(1.0)
        elif what is not Evidence.OUTSIDE:
            shares.append(_share(record.deployment, release))
    return sum(shares) / len(shares) if shares else 0.0


def _share(doing: DeploymentState | None, release: Release) -> float:
    if doing is None or (doing.component, doing.release) != (release.component, release.release):
        return 0.0
    part = doing.done / doing.length if doing.length else 0.0
    if doing.phase is Phase.FETCHING:
        return FETCHED * part
    if doing.phase is Phase.INSTALLING:
        return FETCHED + (WRITTEN - FETCHED) * part
    return _REACHED.get(doing.phase, 0.0)


def soak_left(tally: Tally, succeeded: dict[int, float], now: float) -> float:
    """Seconds that waves still have to prove themselves for, one after the other, before devices
    that come later. `succeeded`: when each stage was first seen as such."""
    policy, left = tally.release.rollout, 0.0
    for number in range(len(tally.stages) - 1):
        later = any(each.members for each in tally.stages[number + 1 :])
        if later and (number or policy.canary_groups):
            soak = soak_minutes(policy, number) * MINUTE
            left += max(0.0, min(soak, succeeded.get(number, now) + soak - now))
    return left


class Forecast:
    """Of one release. It begins when the share first moves, and goes on at the mean pace."""

    def __init__(self) -> None:
        self._first = (0.0, 0.0)
        self._last: float | None = None

    def saw(self, share: float, now: float) -> None:
        """`share` of the way is done at `now`, in seconds of a clock that may be set."""
        first, began = self._first
        if self._last is None or share <= first or now < began:
            self._first = (share, now)
        self._last = share

    def left(self, now: float) -> float | None:
        """Seconds until all of it is done; None where nothing can be said."""
        first, began = self._first
        if self._last is None or not first < self._last < 1 or now - began < LEAST_WATCHED:
            return None
        return (now - began) * (1 - self._last) / (self._last - first)
