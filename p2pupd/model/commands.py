"""Imperatives. One coroutine carries out each; doing one twice equals doing it once."""

from dataclasses import dataclass

from p2pupd.model.ids import DeploymentId


@dataclass(frozen=True, slots=True)
class Command:
    """Carry this out for `deployment`; `attempt` tells a repeat from the first time."""

    deployment: DeploymentId
    attempt: int


@dataclass(frozen=True, slots=True)
class VerifyOffer(Command):
    """Believe the offered bundle, or refuse it -> OfferVerified, OfferRejected."""


@dataclass(frozen=True, slots=True)
class GatherFacts(Command):
    """Ask the host, the store and the slots -> FactsGathered."""


@dataclass(frozen=True, slots=True)
class Fetch(Command):
    """Bring the artifact into the store and check it -> Fetched, CommandFailed."""


@dataclass(frozen=True, slots=True)
class StopFetch(Command):
    """Stop bringing; what has arrived stays for a later attempt. No event."""


@dataclass(frozen=True, slots=True)
class AskTurn(Command):
    """Decide whether it may install now -> TurnTaken, TurnHeld."""


@dataclass(frozen=True, slots=True)
class WriteSlot(Command):
    """Write the image into the spare slot and read it back -> Written, CommandFailed."""


@dataclass(frozen=True, slots=True)
class ArmTrial(Command):
    """Tell the bootloader to try the slot once -> Booted, CommandFailed."""


@dataclass(frozen=True, slots=True)
class Reboot(Command):
    """Restart the device. The event is the next start's Booted."""


@dataclass(frozen=True, slots=True)
class ReadBoot(Command):
    """Ask the boot environment what runs now -> Booted, CommandFailed."""


@dataclass(frozen=True, slots=True)
class Probe(Command):
    """Probe until healthy or the deadline is over -> HealthPassed, HealthFailed."""


@dataclass(frozen=True, slots=True)
class Commit(Command):
    """Make the running slot the one that boots -> Committed, CommandFailed."""


@dataclass(frozen=True, slots=True)
class RollBack(Command):
    """Make the previous slot the one that boots, disarm the other -> Booted, CommandFailed."""
