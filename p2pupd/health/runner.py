"""Probe again and again until the release is proved healthy, or its deadline is over."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from p2pupd.core.verdict import Evidence, Failed, Passed, Pending, Rule, verdict
from p2pupd.health.exec import ExecProbe
from p2pupd.health.http import HttpProbe
from p2pupd.health.interface import HealthProbe, ProbeResult
from p2pupd.health.settings import HealthSettings
from p2pupd.health.systemd import UnitProbe

log = logging.getLogger(__name__)


def configured_probes(settings: HealthSettings) -> tuple[HealthProbe, ...]:
    """One probe for each that is configured."""
    return (
        *map(ExecProbe, settings.exec),
        *map(HttpProbe, settings.http),
        *map(UnitProbe, settings.unit),
    )


class HealthRunner:
    """Runs `probes` in rounds; `clock` is monotonic seconds, `sleep` takes seconds."""

    def __init__(
        self,
        settings: HealthSettings,
        probes: Sequence[HealthProbe],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._probes = tuple(probes)
        self._clock = clock
        self._sleep = sleep
        self._rule = Rule(
            tuple(probe.name for probe in self._probes),
            settings.successes,
            settings.deadline,
            settings.settle,
        )

    async def run(self) -> ProbeResult:
        """The verdict at last: ok, or the failing probes and what they said."""
        evidence = Evidence(self._clock())
        while (result := self._decided(evidence)) is None:
            evidence = await self._round(evidence)
            if self._decided(evidence) is None:
                await self._sleep(self._pause(evidence.started))
        seconds = self._clock() - evidence.started
        if result.ok:
            log.info("health.passed seconds=%.1f", seconds)
        else:
            log.warning("health.failed seconds=%.1f detail=%r", seconds, result.detail)
        return result

    def _decided(self, evidence: Evidence) -> ProbeResult | None:
        match verdict(self._rule, evidence, self._clock()):
            case Passed():
                return ProbeResult(True)
            case Failed() as failed:
                return ProbeResult(False, failed.detail)
            case Pending():
                return None

    async def _round(self, evidence: Evidence) -> Evidence:
        """Ask every probe once, all at the same time."""
        remaining = evidence.started + self._settings.deadline - self._clock()
        timeout = max(0.0, min(self._settings.timeout, remaining))
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(probe.run(timeout)) for probe in self._probes]
        now = self._clock()
        for probe, task in zip(self._probes, asked, strict=True):
            result = task.result()
            if not result.ok:
                log.info("health.probe_failed probe=%s detail=%r", probe.name, result.detail)
            evidence = evidence.add(probe.name, now, result.ok, self._rule, result.detail)
        return evidence

    def _pause(self, started: float) -> float:
        """The interval, cut short where the settle time or the deadline ends before."""
        now = self._clock()
        ends = (started + self._settings.settle, started + self._settings.deadline)
        return min([self._settings.interval, *(end - now for end in ends if end > now)])
