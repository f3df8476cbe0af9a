"""A probe that runs a program."""

from p2pupd.errors import HostError
from p2pupd.health.interface import ProbeResult
from p2pupd.health.settings import ExecProbeSettings
from p2pupd.host import processes


class ExecProbe:
    """Healthy when the program ends in time with the expected exit code."""

    def __init__(self, settings: ExecProbeSettings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        return self._settings.name

    async def run(self, timeout: float) -> ProbeResult:
        try:
            ended = await processes.run(self._settings.command, timeout=timeout)
        except HostError as error:
            return ProbeResult(False, error.message)
        if ended.code == self._settings.exit_code:
            return ProbeResult(True)
        return ProbeResult(False, f"{ended.summary} (expected {self._settings.exit_code})")
