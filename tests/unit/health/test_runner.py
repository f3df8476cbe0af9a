"""The runner on a clock that only moves when somebody sleeps or answers slowly."""

from collections.abc import Sequence
from dataclasses import replace

from p2pupd.health.interface import ProbeResult
from p2pupd.health.runner import HealthRunner, configured_probes
from p2pupd.health.settings import (
    ExecProbeSettings,
    HealthSettings,
    HttpProbeSettings,
    UnitProbeSettings,
)
from p2pupd.model.setting import Seconds

SETTINGS = HealthSettings(
    deadline=Seconds(60),
    interval=Seconds(10),
    timeout=Seconds(5),
    successes=2,
    settle=Seconds(0),
)


class Time:
    """Seconds that pass at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class ScriptedProbe:
    """Answers `answers` in order, the last one for ever, each after `takes` seconds."""

    def __init__(self, name: str, answers: Sequence[bool], time: Time, takes: float = 0) -> None:
        self.name = name
        self.timeouts: list[float] = []
        self._answers = list(answers)
        self._time = time
        self._takes = takes

    async def run(self, timeout: float) -> ProbeResult:
        self.timeouts.append(timeout)
        self._time.now += min(self._takes, timeout)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return ProbeResult(answer, "" if answer else f"{self.name} said no")


async def run(
    time: Time, *probes: ScriptedProbe, settings: HealthSettings = SETTINGS
) -> ProbeResult:
    return await HealthRunner(settings, probes, clock=time.clock, sleep=time.sleep).run()


async def test_passes_as_soon_as_every_probe_succeeded_often_enough() -> None:
    time = Time()
    late = ScriptedProbe("db", [False, False, True], time)
    assert await run(time, ScriptedProbe("web", [True], time), late) == ProbeResult(True)
    assert time.slept == [10, 10, 10]


async def test_fails_at_the_deadline_with_the_probes_that_failed() -> None:
    time = Time()
    web, db = ScriptedProbe("web", [True], time), ScriptedProbe("db", [True, False], time)
    assert await run(time, web, db) == ProbeResult(False, "db: db said no")
    assert time.now == 1060
    assert len(db.timeouts) == 6, "nobody is asked once the deadline is over"


async def test_probe_that_flaps_never_passes() -> None:
    time = Time()
    flapping = ScriptedProbe("web", [True, False] * 10, time)
    assert not (await run(time, flapping)).ok


async def test_no_answer_is_waited_for_beyond_the_deadline() -> None:
    time = Time()
    slow = ScriptedProbe("web", [False], time, takes=100)
    settings = replace(SETTINGS, timeout=Seconds(25))
    assert not (await run(time, slow, settings=settings)).ok
    assert slow.timeouts == [25, 25]
    assert time.now == 1060


async def test_without_probes_the_settle_time_is_waited_for() -> None:
    time = Time()
    assert await run(time, settings=replace(SETTINGS, settle=Seconds(12))) == ProbeResult(True)
    assert time.now == 1012


async def test_without_probes_or_settle_time_it_passes_at_once() -> None:
    time = Time()
    assert (await run(time)).ok
    assert time.slept == []


def test_every_configured_probe_is_made_with_its_name() -> None:
    settings = replace(
        SETTINGS,
        exec=(ExecProbeSettings("self-test", ("true",)),),
        http=(HttpProbeSettings("web", "http://127.0.0.1/"),),
        unit=(UnitProbeSettings("nginx.service"),),
    )
    names = [probe.name for probe in configured_probes(settings)]
    assert names == ["self-test", "web", "nginx.service"]


def test_all_mistakes_across_probes_are_told_together() -> None:
    twice = (ExecProbeSettings("same", ("true",)), ExecProbeSettings("same", ("false",)))
    pages = (HttpProbeSettings("web", "http://localhost/", 299, 200),)
    settings = replace(SETTINGS, exec=twice, http=pages, settle=Seconds(60))
    assert list(settings.together()) == [
        ("", "has two probes that are named 'same'"),
        ("http[0].status_to", "is below status_from (299)"),
        ("settle", "(60 s) is not below deadline (60 s)"),
    ]
