"""A probe that asks systemd about a unit."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from p2pupd.errors import HostError
from p2pupd.health.interface import ProbeResult
from p2pupd.health.settings import UnitProbeSettings
from p2pupd.host import processes

RUNTIME: Final = Path("/run/systemd/system")
PROPERTIES: Final = ("LoadState", "ActiveState", "SubState", "ActiveEnterTimestampMonotonic")


class UnitProbe:
    """Healthy when the unit has been active for long enough.

    systemd itself keeps the time since the unit became active, and starts it again with every
    restart: a service that crashes in a loop never looks healthy between two crashes.
    `clock` is CLOCK_MONOTONIC in seconds, which systemd counts in too.
    """

    def __init__(
        self,
        settings: UnitProbeSettings,
        *,
        systemctl: str = "systemctl",
        runtime: Path = RUNTIME,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._systemctl = systemctl
        self._runtime = runtime
        self._clock = clock

    @property
    def name(self) -> str:
        return self._settings.unit

    async def run(self, timeout: float) -> ProbeResult:
        if not self._runtime.is_dir():
            return ProbeResult(
                False,
                f"systemd does not run here ({self._runtime} is missing): "
                f"remove the unit probe {self.name}, or use an exec probe",
            )
        command = (self._systemctl, "show", f"--property={','.join(PROPERTIES)}", "--", self.name)
        try:
            ended = await processes.run(command, timeout=timeout)
        except HostError as error:
            return ProbeResult(False, error.message)
        if ended.code != 0:
            return ProbeResult(False, ended.summary)
        return judge(ended.output, self._settings, self._clock())


def judge(shown: str, settings: UnitProbeSettings, now: float) -> ProbeResult:
    """The verdict on the output of `systemctl show`; `now` is CLOCK_MONOTONIC in seconds."""
    values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    state = values.get("ActiveState", "unknown")
    if values.get("LoadState") != "loaded":
        return ProbeResult(False, f"{settings.unit} is {values.get('LoadState', 'unknown')}")
    if state != "active":
        return ProbeResult(False, f"{settings.unit} is {state} ({values.get('SubState', '')})")
    since = values.get("ActiveEnterTimestampMonotonic", "")
    active = now - int(since) / 1e6 if since.isdigit() else 0.0
    if active >= settings.active_for:
        return ProbeResult(True)
    return ProbeResult(
        False, f"{settings.unit} has been active for {active:.0f} of {settings.active_for:g} s"
    )
