"""A deployment: one release on its way into this device, and every phase it can be in."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from p2pupd.model.ids import DeploymentId, ManifestDigest
from p2pupd.model.release import Release


class Phase(StrEnum):
    OFFERED = "offered"
    VERIFIED = "verified"
    FETCHING = "fetching"
    READY = "ready"
    WAITING = "waiting"
    INSTALLING = "installing"
    ARMED = "armed"
    TRIAL = "trial"
    CONFIRMED = "confirmed"
    REVERTING = "reverting"
    REVERTED = "reverted"
    REFUSED = "refused"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = frozenset(
    {
        Phase.CONFIRMED,
        Phase.REVERTED,
        Phase.REFUSED,
        Phase.FAILED,
        Phase.SUPERSEDED,
        Phase.CANCELLED,
    }
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """The journaled record. `attempt` counts repeats of the current phase's command.

    `slot` is where the image goes, `previous_slot` what ran before; both None until known.
    `healthy` is set once the probes have passed. `reason` is the stable slug of the last refusal
    or failure and `detail` its sentence; `code` is the matching exit code of the command line.
    `started` and `changed` are Unix seconds.
    """

    id: DeploymentId
    phase: Phase
    source: str
    manifest: ManifestDigest
    started: float
    changed: float
    release: Release | None = None
    attempt: int = 0
    slot: str | None = None
    previous_slot: str | None = None
    healthy: bool = False
    reason: str = ""
    detail: str = ""
    code: int = 0

    def to(self, phase: Phase, now: float, **changes: Any) -> "Deployment":
        """The same deployment in `phase` at `now`; a new phase starts with attempt 0."""
        return replace(self, **({"attempt": 0} | changes), phase=phase, changed=now)
