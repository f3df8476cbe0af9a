"""The device itself, its neighbours, and the facts that decisions are made from."""

from dataclasses import dataclass, field
from enum import StrEnum

from p2pupd.model.ids import ComponentId, DeviceId, Realm


class Role(StrEnum):
    """SEED carries all it is given; PEER carries what it installs; LEECH never uploads."""

    SEED = "seed"
    PEER = "peer"
    LEECH = "leech"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A device that was heard of: a hint, never believed about releases.

    `manifest` is the announced 16-digit prefix of its manifest digest, empty when it has none.
    `last_seen` is Unix seconds by the local clock. `source` is `mdns`, `static` or `pex`.
    `uplink` claims that it can fetch from far away now.
    """

    id: DeviceId
    host: str
    port: int
    bt_port: int
    realm: Realm
    manifest: str
    role: Role
    source: str
    last_seen: float = 0.0
    uplink: bool = False


@dataclass(frozen=True, slots=True)
class Announcement:
    """What this device says about itself by mDNS and in its hello."""

    id: DeviceId
    realm: Realm
    manifest: str
    role: Role
    port: int
    bt_port: int
    uplink: bool = False


@dataclass(frozen=True, slots=True)
class Installed:
    """A release that is in a slot, complete and checked."""

    component: ComponentId
    version: str
    release: int
    image_sha256: str
    security_floor: int = 0


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What admission looks at, gathered just before it decides. Bytes are bytes.

    `store_free` counts what the store's quota and the disk under it both still allow after
    evicting everything evictable. `line` is the product line whose releases may be installed, empty
    where that was not set. `spare_capacity` is the size of the spare slot; None where a
    slot is a file that grows, and then the disk under it is `spare_free`. `left` is the highest
    release that the operator went back from; of those up to it only the `approved` may come.
    """

    hardware_ids: tuple[str, ...]
    component: ComponentId | None
    installer: str | None
    installed: Installed | None
    line: str = ""
    others: tuple[Installed, ...] = ()
    bad: frozenset[tuple[str, int]] = frozenset()
    left: int = -1
    approved: frozenset[int] = frozenset()
    store_free: int = 0
    stored: frozenset[str] = frozenset()
    spare_capacity: int | None = None
    spare_free: int | None = None
    power_ok: bool = True


@dataclass(frozen=True, slots=True)
class BootFacts:
    """What the boot environment says. Slots are named as in the configuration, `A` and `B`.

    `primary` boots when nothing is armed. `armed` is the slot with a pending or used-up trial, and
    `tries_left` how often the bootloader may still try it (0: the trial was used). `booted` is the
    slot that runs now.
    """

    booted: str
    primary: str
    armed: str | None
    tries_left: int = 0


@dataclass(frozen=True, slots=True)
class ByteCounts:
    """Payload bytes of one artifact.

    `lan`, `uplink`, `usb` and `reuse` are where what is here of it came from: they sum to that. The
    others count since the daemon's start: `received` from neighbours and kept, `sent` to them,
    `wasted` received in vain.
    """

    lan: int = 0
    uplink: int = 0
    usb: int = 0
    reuse: int = 0
    received: int = 0
    sent: int = 0
    wasted: int = 0


class Origin(StrEnum):
    """What reused bytes were made of. STORE: older releases that are still there; packs are copied,
    images compressed again. SLOT: the running image and those that the configuration names."""

    STORE = "store"
    SLOT = "slot"


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """Where a transfer stands; `peers` are connections that have carried this torrent."""

    done: int
    length: int
    counts: ByteCounts = field(default_factory=ByteCounts)
    peers: int = 0
    rate: int = 0
