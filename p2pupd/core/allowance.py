"""What payload may move at this moment, and how fast: limits, windows and the operator's pause.

Windows hold for everything but emergency releases; a pause by hand holds for those as well.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from p2pupd.core.windows import LocalTime, Window, is_open, next_change
from p2pupd.model.device import Role
from p2pupd.model.release import Release, Urgency

LOWER_EFFORT: Final = 1
"""The DSCP of RFC 8622: yields to everything else on the line."""

PAUSED: Final = "paused"
OUTSIDE_WINDOWS: Final = "outside-windows"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the owner allows. Rates are bytes per second, 0 is none; `dscp` is 0 to 63.

    `seed_cap` is what all seeds of the site may send together.
    """

    upload: int = 0
    download: int = 0
    seed_cap: int = 0
    dscp: int = LOWER_EFFORT
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """By the operator: until then, in Unix seconds, or until it is ended by hand."""

    until: float | None = None

    def holds(self, now: float) -> bool:
        """Whether it still counts at `now`."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Allowance:
    """`moving`: payload may move. Rates are bytes per second, 0 is without a limit.

    `reason` is the stable slug of what holds payload back, empty where nothing does. `until`
    (Unix seconds) is when this is to be decided anew; None where no time changes it. `exempt` are
    digests (pieces root, SHA-256) of artifacts that move although `moving` is false.
    """

    moving: bool = True
    upload: int = 0
    download: int = 0
    dscp: int = LOWER_EFFORT
    reason: str = ""
    until: float | None = None
    exempt: frozenset[str] = frozenset()

    def moves(self, digest: str) -> bool:
        """Whether payload of the artifact with this pieces root or SHA-256 may move."""
        return self.moving or digest in self.exempt


def allow(
    limits: Limits,
    pause: Pause | None,
    now: float,
    local: LocalTime,
    *,
    role: Role,
    seeds: int,
    emergencies: frozenset[str] = frozenset(),
) -> Allowance:
    """The allowance at `now` (Unix seconds), which is `local` on this device.

    `seeds` are the other seeds that this device sees; `emergencies` are digests, see `urgent`.
    """
    upload = _upload(limits, role, seeds)
    if pause is not None and pause.holds(now):
        return Allowance(
            False, upload, limits.download, limits.dscp, PAUSED, pause.until, frozenset()
        )
    wait = next_change(limits.windows, local)
    until = None if wait is None else now - now % 60 + 60 * wait
    if is_open(limits.windows, local):
        return Allowance(True, upload, limits.download, limits.dscp, "", until)
    return Allowance(
        False, upload, limits.download, limits.dscp, OUTSIDE_WINDOWS, until, emergencies
    )


def _upload(limits: Limits, role: Role, seeds: int) -> int:
    """The lower one of the own limit and, on a seed, its equal share of the site's cap."""
    bounds = [limits.upload] if limits.upload else []
    if limits.seed_cap and role is Role.SEED:
        bounds.append(max(1, limits.seed_cap // (seeds + 1)))
    return min(bounds, default=0)


def urgent(releases: Iterable[Release]) -> frozenset[str]:
    """The digests of what is signed as an emergency."""
    return frozenset(
        digest
        for each in releases
        if each.urgency is Urgency.EMERGENCY
        for digest in (each.artifact.pieces_root, each.artifact.sha256)
    )
