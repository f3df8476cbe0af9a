"""The contract of the journal. Every write is durable when it returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from p2pupd.model.deployment import Deployment, Phase
from p2pupd.model.device import Installed
from p2pupd.model.ids import DeploymentId, DeviceId


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A line of the device's history: Unix seconds, stable event id, the event's fields."""

    at: float
    event: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many deployments came to one end, ever, and when the last one did (Unix seconds)."""

    number: int
    last: float


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A status record of the view as it is kept; the fields are those of `model.fleet.Seen`."""

    device: DeviceId
    raw: bytes
    heard: float
    first: float
    direct: bool
    alive: float
    lost: float


class Journal(Protocol):
    """All methods block (disk); the engine calls them in a thread, one at a time."""

    def record(self, deployment: Deployment) -> None:
        """Write or overwrite this deployment's record, with its phase change in the history."""

    def open_deployments(self) -> tuple[Deployment, ...]:
        """Those whose phase has not ended, oldest first."""

    def deployments(self, limit: int) -> tuple[Deployment, ...]:
        """The newest `limit`, newest first."""

    def outcomes(self) -> dict[Phase, Outcome]:
        """By the phase in which they ended; also of those whose records are forgotten."""

    def next_deployment_id(self) -> DeploymentId:
        """Never given twice, also after a power cut."""

    def set_slot(self, slot: str, installed: Installed | None) -> None:
        """What `slot` holds: a complete checked image, or nothing that may be booted."""

    def slots(self) -> dict[str, Installed | None]:
        """What every known slot holds."""

    def mark_bad(self, component: str, release: int, reason: str, at: float) -> None:
        """This release failed or reverted here and is not to be tried again."""

    def clear_bad(self, component: str, release: int) -> None:
        """A signed order or an operator allows it again."""

    def bad_releases(self) -> dict[tuple[str, int], str]:
        """{(component, release): reason}."""

    def note(self, entry: HistoryEntry) -> None:
        """Append to the history (bounded: oldest entries go first)."""

    def history(self, limit: int) -> Sequence[HistoryEntry]:
        """The newest `limit` entries, oldest first."""

    def keep_view(self, changed: Sequence[KeptRecord], dropped: Sequence[DeviceId]) -> None:
        """Write or overwrite records of the view, and forget others, in one step."""

    def view(self) -> Sequence[KeptRecord]:
        """All that was kept of the view."""

    def number_own_records(self, epoch: int, sequence: int) -> None:
        """This device's records are numbered up to here at most."""

    def own_records_numbered(self) -> tuple[int, int]:
        """(epoch, sequence) as numbered last; (0, 0) at first."""

    def keep_order(self, key: str, raw: bytes, heard: float) -> None:
        """Write or overwrite the signed order that lies under `key`."""

    def orders(self) -> Sequence[tuple[str, bytes, float]]:
        """All orders: key, envelope, and when it was heard of (Unix seconds)."""

    def close(self) -> None:
        """Nothing may be called after it."""
