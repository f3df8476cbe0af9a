"""What devices say about themselves, and what this device has heard of all of them.

A `StatusRecord` is a device's own word, signed with its key; others only carry it. A `View` is what
one device has heard of the floor. Times are Unix seconds, sizes bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from types import MappingProxyType
from typing import Final, NamedTuple

from p2pupd.model.deployment import Phase
from p2pupd.model.device import ByteCounts, Role
from p2pupd.model.ids import ComponentId, DeviceId, Realm

GRACE: Final = 60.0
"""Seconds that a record may be late on top of two beats."""


def patience(beat: float) -> float:
    """Seconds after which a device that speaks this often counts as silent."""
    return 2 * beat + GRACE


HOLD_CHARS: Final = 16
"""Hex digits of a SHA-256 by which a record names an artifact."""


class Stamp(NamedTuple):
    """Which of two sayings of one signer is newer: the greater one. Nothing else orders them.

    `epoch` grows when a device had lost count of its `sequence`. `tie` is taken from the digest of
    what was said: a signer that says two things under one number is believed in the same one of
    them everywhere.
    """

    epoch: int
    sequence: int
    tie: int = 0


@dataclass(frozen=True, slots=True)
class Update:
    """How one deployment ended: `phase` is one of the ends, `reason` the slug of a failure.

    `resumed` is the sequence of the newest signed resume that held when it began to install.
    """

    component: ComponentId
    version: str
    release: int
    phase: Phase
    at: int
    reason: str = ""
    detail: str = ""
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class Halt:
    """A release that a device holds for halted; the resume of that sequence did not lift it."""

    component: ComponentId
    release: int
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class ComponentState:
    """A component and the release of it that runs."""

    component: ComponentId
    version: str
    release: int


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """The deployment that is under way: what, where it stands, and since when.

    `done` of `length` are the bytes of the phase, both 0 where it has none. `reason` is the slug of
    what holds it back. `ticket` is its place among those that would install at once, 0 without one.
    """

    component: ComponentId
    version: str
    release: int
    phase: Phase
    since: int
    done: int = 0
    length: int = 0
    reason: str = ""
    ticket: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """An interface and one IP address on it."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """A device's word about itself.

    `at` is its own clock; it orders nothing. `news` is the sequence of the record in which
    something changed last: what came after it only says that the device lives. `beat` is the
    longest it will keep silent, in seconds. `history` are the newest ended
    deployments, newest first, and the first of it the last result. `holds` names the artifacts
    that it has complete and checked, each by its first HOLD_CHARS.
    """

    device: DeviceId
    realm: Realm
    site: str
    epoch: int
    sequence: int
    news: int
    at: int
    beat: int
    role: Role
    version: str
    model: str = ""
    hardware_ids: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    port: int = 0
    links: tuple[Link, ...] = ()
    components: tuple[ComponentState, ...] = ()
    deployment: DeploymentState | None = None
    history: tuple[Update, ...] = ()
    holds: tuple[str, ...] = ()
    halts: tuple[Halt, ...] = ()
    counts: ByteCounts = field(default_factory=ByteCounts)
    store_free: int = 0

    @property
    def last_result(self) -> Update | None:
        """How its last deployment ended."""
        return self.history[0] if self.history else None

    def installed(self, component: ComponentId) -> ComponentState | None:
        """What of `component` runs there."""
        return next((each for each in self.components if each.component == component), None)


class Standing(StrEnum):
    """Why a record counts: OWN is this device's; FIRST_USE is signed by whoever has that key, and
    nobody has vouched that it belongs to the site."""

    OWN = "own"
    FIRST_USE = "first-use"


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as this device holds it.

    `raw` is its envelope as signed. `heard` is when it was first said here or, if it came by
    others, how long ago they say it was; `first` when this device was first heard of. `direct`: it
    has been a neighbour of ours; then `alive` is when it last answered us, and `lost` when it no
    longer did.
    """

    record: StatusRecord
    stamp: Stamp
    raw: bytes
    heard: float
    first: float
    direct: bool = False
    alive: float = 0.0
    lost: float = 0.0
    standing: Standing = Standing.FIRST_USE

    @property
    def last_sign(self) -> float:
        """When it last showed that it lives, as far as is known here."""
        return max(self.heard, self.alive)

    @property
    def due(self) -> float:
        """When it has missed two beats and a minute; in the past where it answers no more."""
        if self.standing is Standing.OWN:
            return inf
        last = self.last_sign
        return -inf if self.lost > last else last + patience(self.record.beat)

    def silent(self, now: float) -> bool:
        """Whether it answers no more, or is overdue."""
        return now > self.due

    def overdue(self, now: float) -> bool:
        """Whether it has missed two beats and a minute, whether or not it answers its neighbours:
        one that restarts does not, and goes on."""
        return now > self.last_sign + patience(self.record.beat)


@dataclass(frozen=True, slots=True)
class View:
    """All that one device has heard. A silent device stays in it, and shows since when."""

    entries: Mapping[DeviceId, Seen] = field(default_factory=lambda: MappingProxyType({}))

    def get(self, device: DeviceId) -> StatusRecord | None:
        """What it said last."""
        seen = self.entries.get(device)
        return seen.record if seen else None
