"""What the device tells about itself in figures: one reading of every meter at a time."""

from collections.abc import Mapping
from dataclasses import dataclass

from p2pupd.model.device import ByteCounts, Origin


@dataclass(frozen=True, slots=True)
class UplinkReading:
    """`month_bytes` were fetched in this calendar month."""

    available: bool
    month_bytes: int


@dataclass(frozen=True, slots=True)
class ReuseReading:
    """Bytes of packs that this device expected to make itself, and really made, since its start."""

    expected: Mapping[Origin, int]
    real: Mapping[Origin, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """All figures of one moment. Times are Unix seconds, sizes bytes.

    `payload` adds up all artifacts and does not fall while the daemon runs. `deployments` are those
    that came to an end, by phase, since this device has a journal; `last_success` is None where
    none was confirmed, and `installed` maps a component to its release. `uplink` is None where the
    device has none. `fleet` are the devices in the view by their state, `fleet_dropped` the signed
    messages that did not count, by reason, since the start.
    """

    version: str
    payload: ByteCounts
    peers: int
    deployments: Mapping[str, int]
    last_success: float | None
    installed: Mapping[str, int]
    fleet: Mapping[str, int]
    fleet_dropped: Mapping[str, int]
    store_used: int
    store_free: int
    store_quota: int
    moving: bool
    uplink: UplinkReading | None
    reuse: ReuseReading
