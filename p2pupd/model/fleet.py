"""What devices say about themselves, and what this device has heard of all of them.

A `StatusRecord` is a device's own word, signed with its key; others only carry it. A `View` is what
one device has heard of the floor. Times are Unix seconds, sizes bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from p2pupd.model.deployment import Phase
from p2pupd.model.device import ByteCounts, Role
from p2pupd.model.ids import ComponentId, DeviceId, Realm

GRACE: Final = 60.0
"""Seconds that a record may be late on top of two beats."""


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
    """How one deployment ended: `phase` is one of the ends, `reason` the slug of a failure."""

    component: ComponentId
    version: str
    release: int
    phase: Phase
    at: int
    reason: str = ""
    detail: str = ""


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
    what holds it back.
    """

    component: ComponentId
    version: str
    release: int
    phase: Phase
    since: int
    done: int = 0
    length: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """An interface and one IP address on it."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """A device's word about itself.

    `at` is its own clock; it orders nothing. `beat` is the longest it will keep silent, in seconds:
    who hears nothing for much longer may take it for lost. `history` are the newest ended
    deployments, newest first, and the first of it the last result. `holds` names the artifacts
    that it has complete and checked, each by the first 16 hex digits of its SHA-256.
    """

    device: DeviceId
    realm: Realm
    site: str
    epoch: int
    sequence: int
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
    has been a neighbour of ours.
    """

    record: StatusRecord
    stamp: Stamp
    raw: bytes
    heard: float
    first: float
    direct: bool = False
    standing: Standing = Standing.FIRST_USE

    def silent(self, now: float) -> bool:
        """Whether it has missed more than its word allows: twice its beat, and a minute."""
        return now - self.heard > 2 * self.record.beat + GRACE


@dataclass(frozen=True, slots=True)
class View:
    """All that one device has heard. A silent device stays in it, and shows since when."""

    entries: Mapping[DeviceId, Seen] = field(default_factory=lambda: MappingProxyType({}))

    def get(self, device: DeviceId) -> StatusRecord | None:
        """What it said last."""
        seen = self.entries.get(device)
        return seen.record if seen else None
