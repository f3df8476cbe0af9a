"""What a device remembers of a rollout."""

from p2pupd.core.course import Course, observe, worth_remembering
from p2pupd.core.tally import Tally
from p2pupd.model.fleet import Halt, StatusRecord
from p2pupd.model.rollout import Rollout, Wave
from tests.builders import COMPONENT, a_release
from tests.floors import NOW, QUARTERS, device_of, record, reverted, seen, working

RELEASE = a_release(rollout=QUARTERS)
FIRST, NEXT = (device_of(RELEASE, 1, each) for each in range(2))
SECOND, THIRD = (device_of(RELEASE, each) for each in (2, 3))
FRESH = Course(RELEASE.component, RELEASE.release)


def floor(*records: StatusRecord, resumed: int = 0) -> Tally:
    others = (record(SECOND), record(THIRD))
    return Tally(RELEASE, map(seen, (*records, *others)), resumed=resumed)


def test_nothing_new_is_the_same_course() -> None:
    assert observe(FRESH, floor(record(FIRST)), NOW) is FRESH


def test_success_counts_from_when_it_was_first_seen() -> None:
    once = observe(FRESH, floor(working(FIRST, RELEASE)), NOW)
    assert once.succeeded == {1: NOW}
    assert observe(once, floor(working(FIRST, RELEASE)), NOW + 60) is once


def test_success_that_goes_away_counts_anew() -> None:
    once = observe(FRESH, floor(working(FIRST, RELEASE)), NOW)
    doubted = observe(once, floor(working(FIRST, RELEASE), record(NEXT)), NOW + 60)
    assert doubted.succeeded == {}


def test_a_clock_that_was_set_back_does_not_make_it_wait_for_ever() -> None:
    once = observe(FRESH, floor(working(FIRST, RELEASE)), NOW)
    assert observe(once, floor(working(FIRST, RELEASE)), NOW - 9999).succeeded == {1: NOW - 9999}


def test_too_many_failures_halt_for_good() -> None:
    halted = observe(FRESH, floor(reverted(FIRST, RELEASE)), NOW)
    assert halted.is_halted(0)
    gone = observe(halted, floor(record(FIRST)), NOW)
    assert gone.is_halted(0)


def test_a_resume_lifts_a_halt_and_later_failures_halt_again() -> None:
    halted = observe(FRESH, floor(reverted(FIRST, RELEASE)), NOW)
    assert not halted.is_halted(5)
    resumed = observe(halted, floor(reverted(FIRST, RELEASE), resumed=5), NOW)
    assert not resumed.is_halted(5)
    again = observe(resumed, floor(reverted(FIRST, RELEASE, resumed=5), resumed=5), NOW)
    assert again.is_halted(5)


def test_a_halt_that_another_device_tells_of_is_ours_too() -> None:
    told = record(FIRST, halts=(Halt(COMPONENT, 7),))
    assert observe(FRESH, floor(told), NOW).is_halted(0)


def test_a_wave_without_a_limit_succeeds_with_its_first_device() -> None:
    release = a_release(rollout=Rollout(waves=(Wave(250), Wave(1000))))
    first, other = (device_of(release, 1, each) for each in range(2))
    tally = Tally(release, [seen(working(first, release)), seen(reverted(other, release))])
    course = observe(Course(release.component, 7), tally, NOW)
    assert 1 in course.succeeded
    assert course.halted is None


def test_only_a_policy_that_looks_at_others_is_worth_remembering() -> None:
    assert not worth_remembering(a_release())
    assert not worth_remembering(a_release(rollout=Rollout(windows=("22:00-05:00",))))
    assert worth_remembering(RELEASE)
    assert worth_remembering(a_release(rollout=Rollout(max_concurrent=1)))
    assert worth_remembering(a_release(rollout=Rollout(max_failures=1)))
