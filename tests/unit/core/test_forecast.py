"""How far a release has come, and when it will be everywhere."""

import pytest

from p2pupd.core.forecast import FETCHED, WRITTEN, Forecast, share_done, soak_left
from p2pupd.core.tally import Tally
from p2pupd.model.deployment import Phase
from p2pupd.model.ids import DeviceId
from p2pupd.model.rollout import Rollout, Wave
from tests.builders import a_release
from tests.floors import QUARTERS, device_of, doing, record, reverted, seen, working

ME = DeviceId("a" * 52)
RELEASE = a_release()
STAGED = a_release(rollout=QUARTERS)


@pytest.mark.parametrize(
    ("phase", "share"),
    [
        (Phase.FETCHING, FETCHED / 2),
        (Phase.WAITING, FETCHED),
        (Phase.INSTALLING, (FETCHED + WRITTEN) / 2),
        (Phase.ARMED, WRITTEN),
        (Phase.OFFERED, 0.0),
    ],
)
def test_each_phase_is_a_part_of_the_way(phase: Phase, share: float) -> None:
    halfway = doing(ME, RELEASE, phase, done=5, length=10)
    assert share_done([halfway], RELEASE, 0) == pytest.approx(share)


def test_whoever_is_decided_is_done_whether_it_worked_or_not() -> None:
    floor = [working(ME, RELEASE), reverted(ME, RELEASE), record(ME), record(ME, runs=9)]
    assert share_done(floor, RELEASE, 0) == pytest.approx(2 / 3)


def test_a_way_with_another_release_does_not_count() -> None:
    assert share_done([doing(ME, a_release(6), Phase.FETCHING)], RELEASE, 0) == 0
    assert share_done([doing(ME, RELEASE, Phase.FETCHING)], RELEASE, 0) == 0
    assert share_done([], RELEASE, 0) == 0


def test_the_rest_takes_as_long_as_the_pace_so_far_says() -> None:
    forecast = Forecast()
    assert forecast.left(0) is None
    forecast.saw(0.0, 0)
    forecast.saw(0.0, 100)
    assert forecast.left(101) is None
    forecast.saw(0.25, 130)
    assert forecast.left(130) == pytest.approx(90)
    forecast.saw(1.0, 150)
    assert forecast.left(150) is None


def test_nothing_is_said_after_a_blink_and_a_clock_that_was_set_begins_anew() -> None:
    forecast = Forecast()
    forecast.saw(0.0, 100)
    forecast.saw(0.5, 101)
    assert forecast.left(101) is None
    forecast.saw(0.5, 50)
    assert forecast.left(60) is None


def test_waves_prove_themselves_one_after_the_other() -> None:
    floor = [record(device_of(STAGED, stage)) for stage in (1, 2, 3)]
    tally = Tally(STAGED, map(seen, floor))
    assert soak_left(tally, {}, 1000) == 3600
    assert soak_left(tally, {1: 0.0}, 1000) == 2600
    assert soak_left(tally, {1: 0.0}, 5000) == 0


def test_nobody_waits_for_a_wave_that_has_nobody_after_it() -> None:
    tally = Tally(STAGED, [seen(record(device_of(STAGED, 1)))])
    assert soak_left(tally, {}, 0) == 0


def test_canaries_prove_themselves_too() -> None:
    policy = Rollout((Wave(1000),), ("canary",), canary_soak_minutes=5, max_failures=100)
    release = a_release(rollout=policy)
    floor = [record(ME, groups=("canary",)), record(DeviceId("b" * 52))]
    assert soak_left(Tally(release, map(seen, floor)), {}, 0) == 300
