"""A release, as its signer described it: what travels, what is installed, for whom.

The carried file (what the swarm moves) and the image (what ends in the slot) are apart, because a
chunk pack is carried but its contents are installed. With `format: raw` both are the same bytes.
Field names follow the target's `custom` object of docs/design: SUIT component, Uptane release
counter, RAUC compatible.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from p2pupd.model.ids import ComponentId, Sha256
from p2pupd.model.rollout import Rollout


class UpdateKind(StrEnum):
    FIRMWARE = "firmware"
    SOFTWARE = "software"
    SECURITY = "security"
    FEATURE = "feature"
    DRIVER = "driver"
    CONFIG = "config"
    ROLLBACK = "rollback"
    PROVISIONING = "provisioning"


class InstallerKind(StrEnum):
    SLOTS = "slots"
    RAUC = "rauc"
    SWUPDATE = "swupdate"
    OSTREE = "ostree"
    FILES = "files"
    CONTAINER = "container"
    EXEC = "exec"


BUILT: Final = (InstallerKind.SLOTS,)
"""The installers of this version; the others are names that are reserved."""


class ArtifactFormat(StrEnum):
    """How the carried file relates to the image."""

    RAW = "raw"
    """The carried file is the image."""
    PACK1 = "pack1"
    """It is a chunk pack, which unpacks to the image (docs/pack-format.md)."""


class Urgency(StrEnum):
    NORMAL = "normal"
    SECURITY = "security"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Artifact:
    """The carried file: a BitTorrent v2 single-file torrent is derived from these four alone.

    `pieces_root` is the BEP 52 merkle root (hex) over 16 KiB blocks; `piece_length` is a power of
    two of at least 16384 bytes.
    """

    length: int
    sha256: Sha256
    pieces_root: Sha256
    piece_length: int

    @property
    def pieces(self) -> int:
        return -(-self.length // self.piece_length)


@dataclass(frozen=True, slots=True)
class Image:
    """What is written into the slot, and read back before the slot is armed."""

    length: int
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class Dependency:
    """`component` must be installed at `min_release` or later."""

    component: ComponentId
    min_release: int


@dataclass(frozen=True, slots=True)
class Release:
    """One verified target. `release` is the only ordering; `version` is text for people."""

    target: str
    component: ComponentId
    version: str
    release: int
    kind: UpdateKind
    hardware_ids: tuple[str, ...]
    installer: InstallerKind
    format: ArtifactFormat
    artifact: Artifact
    image: Image
    min_release: int | None = None
    depends_on: tuple[Dependency, ...] = ()
    conflicts: tuple[ComponentId, ...] = ()
    rollback_to: int | None = None
    rollback_from: tuple[int, ...] = ()
    security_floor: int = 0
    urgency: Urgency = Urgency.NORMAL
    rollout: Rollout = Rollout()
    notes: str = ""

    @property
    def line(self) -> str:
        """The product line, which begins the target's path: only its signers may sign there."""
        first, slash, _ = self.target.partition("/")
        return first if slash else ""

    @property
    def label(self) -> str:
        """`gateway-os 1.4.2 (release 7)`, for logs and screens."""
        return f"{self.component} {self.version} (release {self.release})"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A verified bundle: everything that the signers say at one moment.

    `issued` is the trust floor in Unix seconds that this manifest proves (TRUST: freshness);
    `warnings` are findings that were allowed (expired by an untrusted clock, issued long ago).
    """

    digest: str
    timestamp_version: int
    releases: tuple[Release, ...]
    issued: int
    expires: int
    warnings: tuple[str, ...] = ()
