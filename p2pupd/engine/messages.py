"""What the engine's inbox takes besides lifecycle events."""

import asyncio
from dataclasses import dataclass, field

from p2pupd.core.admission import Refusal
from p2pupd.errors import UpdateError
from p2pupd.feeds.interface import Offer
from p2pupd.model import events as on
from p2pupd.model.ids import DeploymentId
from p2pupd.model.release import Manifest, Release


@dataclass(frozen=True, slots=True)
class OfferOutcome:
    """What became of an offer: for `p2pupd import`, and for tests.

    `chosen` is the release this device goes for; `refusal` why it goes for none. `carried` are
    releases now in the store, `lost` those that the source could not deliver.
    """

    manifest: Manifest | None = None
    chosen: Release | None = None
    refusal: Refusal | None = None
    carried: tuple[Release, ...] = ()
    lost: tuple[tuple[Release, UpdateError], ...] = ()


@dataclass(slots=True)
class Ticket:
    """Follows one offer. `done` gets its result exactly once."""

    done: asyncio.Future[OfferOutcome]
    chosen: Release | None = None
    refusal: Refusal | None = None

    def decided(self, choice: Release | Refusal) -> None:
        """What this device goes for, or why for nothing."""
        if isinstance(choice, Refusal):
            self.refusal = choice
        else:
            self.chosen = choice

    def finish(self, outcome: OfferOutcome) -> None:
        """The first outcome counts."""
        if not self.done.done():
            self.done.set_result(outcome)


@dataclass(frozen=True, slots=True)
class OfferCame:
    offer: Offer
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class SourceLeft:
    """A stick was pulled."""

    source: str


@dataclass(frozen=True, slots=True)
class SourceRefused:
    """A stick is there, but cannot be read safely."""

    source: str
    error: UpdateError


@dataclass(frozen=True, slots=True)
class BundleBelieved:
    """VerifyOffer's result: trust accepted the bundle."""

    deployment: DeploymentId
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class HintBelieved:
    """A neighbour's bundle that trust accepted; nothing is journaled about it yet."""

    offer: Offer
    ticket: Ticket
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Reconsider:
    """Look again at what the manifest, the disk and the operator allow now."""


@dataclass(frozen=True, slots=True)
class Approve:
    """The operator allows `release` (None: whatever waits); `again`: although it was bad here;
    `ahead`: also out of this device's turn."""

    release: int | None
    again: bool
    answer: asyncio.Future[str] = field(repr=False)
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class RollBackAsked:
    """The operator wants the previous slot back."""

    answer: asyncio.Future[str] = field(repr=False)


Message = (
    on.Event
    | BundleBelieved
    | OfferCame
    | HintBelieved
    | SourceLeft
    | SourceRefused
    | Reconsider
    | Approve
    | RollBackAsked
)
