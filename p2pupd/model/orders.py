"""What a site's operator orders: signed once, carried by every device, obeyed by all."""

from dataclasses import dataclass
from enum import StrEnum

from p2pupd.model.ids import ComponentId, DeviceId, Realm


class OrderKind(StrEnum):
    """HOLD: nobody begins to install the release. RESUME: a hold or a halt of it is over.
    APPROVE: the consent that devices may ask for. RETIRE: a device takes no part in rollouts.
    WRITE_OFF: nobody reckons with devices that have been silent for long, until they speak again.
    SEED_CAP: how much all seeds of the site upload together."""

    HOLD = "hold"
    RESUME = "resume"
    APPROVE = "approve"
    RETIRE = "retire"
    WRITE_OFF = "write-off"
    SEED_CAP = "seed-cap"


@dataclass(frozen=True, slots=True)
class Order:
    """One order of one operator, named by the 64 hex digits of its Ed25519 key.

    `sequence` is Unix milliseconds of its signing, or one more than the last order's; `epoch` grows
    when that count was lost. HOLD, RESUME and APPROVE name `component` and `release`, RETIRE a
    `device`. `value` is 1, or 0 for a RETIRE that is taken back; of a SEED_CAP bytes per second, 0
    for none; of a WRITE_OFF the seconds of silence after which a device is written off.
    """

    kind: OrderKind
    realm: Realm
    site: str
    operator: str
    epoch: int
    sequence: int
    component: ComponentId | None = None
    release: int = 0
    device: DeviceId | None = None
    value: int = 1

    @property
    def subject(self) -> str:
        """What it is about: a release, a device, or the site."""
        if self.device is not None:
            return self.device
        return f"{self.component}/{self.release}" if self.component else "site"

    @property
    def label(self) -> str:
        """For people: `hold gateway-os release 7`."""
        if self.kind is OrderKind.SEED_CAP:
            return f"seed-cap {self.value} bytes/s" if self.value else "seed-cap lifted"
        if self.kind is OrderKind.RETIRE:
            return f"retire {self.device}" if self.value else f"retire no more {self.device}"
        if self.kind is OrderKind.WRITE_OFF:
            return f"retire who was silent for {self.value} s"
        return f"{self.kind} {self.component} release {self.release}"
