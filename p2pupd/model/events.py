"""Things that happened. A handler's result, and its failure, comes back as one of these."""

from dataclasses import dataclass

from p2pupd.model.device import BootFacts, DeviceFacts
from p2pupd.model.ids import DeploymentId
from p2pupd.model.release import Release


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to `deployment`."""

    deployment: DeploymentId


@dataclass(frozen=True, slots=True)
class OfferVerified(Event):
    """The bundle is believed; `release` is the one that this device would install."""

    release: Release


@dataclass(frozen=True, slots=True)
class OfferRejected(Event):
    """Not believed, or nothing in it for this device; no payload byte was moved."""

    reason: str
    detail: str
    code: int


@dataclass(frozen=True, slots=True)
class FactsGathered(Event):
    facts: DeviceFacts


@dataclass(frozen=True, slots=True)
class Fetched(Event):
    """The whole artifact is in the store, each piece proved by what was signed."""


@dataclass(frozen=True, slots=True)
class CommandFailed(Event):
    """The command of the current phase could not be done.

    `transient`: trying again later can help (a stick pulled, a slow neighbour).
    """

    reason: str
    detail: str
    code: int
    transient: bool = False


@dataclass(frozen=True, slots=True)
class TurnTaken(Event):
    """Nothing holds the installation back any more."""


@dataclass(frozen=True, slots=True)
class TurnHeld(Event):
    """The installation waits; `reason` is the gate that is not open."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Written(Event):
    """The image is in `slot`, read back and right; nothing boots it yet."""

    slot: str
    previous_slot: str


@dataclass(frozen=True, slots=True)
class Booted(Event):
    """What the boot environment says, read after a start, or after arming."""

    facts: BootFacts


@dataclass(frozen=True, slots=True)
class HealthPassed(Event):
    pass


@dataclass(frozen=True, slots=True)
class HealthFailed(Event):
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Committed(Event):
    """The new slot is what boots from now on."""


@dataclass(frozen=True, slots=True)
class RollbackWanted(Event):
    """The operator (or a signed order) wants the previous slot back."""

    detail: str


@dataclass(frozen=True, slots=True)
class Halted(Event):
    """The floor halted the release before this device had started into it."""

    detail: str


@dataclass(frozen=True, slots=True)
class NewerRelease(Event):
    """A newer release took this one's place before it was installed."""

    detail: str


@dataclass(frozen=True, slots=True)
class CancelWanted(Event):
    detail: str
