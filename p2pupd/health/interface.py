"""The contract of a health probe."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One run of one probe; `detail` is what a person needs to see when it failed."""

    ok: bool
    detail: str = ""


class HealthProbe(Protocol):
    """One question to the device. Never raises for an unhealthy answer."""

    @property
    def name(self) -> str:
        """From the configuration; names the probe in events."""

    async def run(self, timeout: float) -> ProbeResult:
        """Ask once; an answer later than `timeout` seconds counts as failed."""
