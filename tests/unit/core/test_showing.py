"""The one word that a screen has for each device."""

from dataclasses import replace

import pytest

from p2pupd.core.showing import RESTART, Shown, newest_for, shown
from p2pupd.model.deployment import Phase
from p2pupd.model.ids import DeviceId
from tests.builders import a_release
from tests.floors import NOW, doing, ended, record, reverted, seen, working

ME = DeviceId("a" * 52)
RELEASE = a_release()


@pytest.mark.parametrize(
    ("phase", "word"),
    [
        (Phase.OFFERED, Shown.FETCHING),
        (Phase.FETCHING, Shown.FETCHING),
        (Phase.READY, Shown.WAITING),
        (Phase.WAITING, Shown.WAITING),
        (Phase.INSTALLING, Shown.INSTALLING),
        (Phase.ARMED, Shown.TRIAL),
        (Phase.TRIAL, Shown.TRIAL),
        (Phase.REVERTING, Shown.FAILED),
    ],
)
def test_what_is_under_way_is_shown_first(phase: Phase, word: Shown) -> None:
    assert shown(seen(doing(ME, RELEASE, phase)), RELEASE, 0, NOW) is word


def test_at_rest_it_is_current_behind_or_has_failed() -> None:
    assert shown(seen(working(ME, RELEASE)), RELEASE, 0, NOW) is Shown.CURRENT
    assert shown(seen(record(ME)), RELEASE, 0, NOW) is Shown.BEHIND
    assert shown(seen(reverted(ME, RELEASE)), RELEASE, 0, NOW) is Shown.FAILED
    assert shown(seen(record(ME, runs=8)), RELEASE, 0, NOW) is Shown.CURRENT


def test_what_failed_before_a_resume_is_behind_again() -> None:
    assert shown(seen(reverted(ME, RELEASE, resumed=3)), RELEASE, 4, NOW) is Shown.BEHIND


def test_who_has_told_of_an_end_is_not_on_its_way() -> None:
    done = replace(doing(ME, RELEASE, Phase.CONFIRMED), history=(ended(RELEASE, Phase.CONFIRMED),))
    assert shown(seen(done), RELEASE, 0, NOW) is Shown.BEHIND


def test_without_a_release_for_it_a_device_is_current_or_only_carries() -> None:
    assert shown(seen(record(ME)), None, 0, NOW) is Shown.CURRENT
    assert shown(seen(record(ME, components=())), None, 0, NOW) is Shown.CARRIER


def test_silence_comes_first_except_while_a_device_restarts() -> None:
    gone = replace(seen(working(ME, RELEASE)), lost=NOW + 1)
    assert shown(gone, RELEASE, 0, NOW + 2) is Shown.SILENT
    restarts = replace(seen(doing(ME, RELEASE, Phase.ARMED)), lost=NOW + 1)
    assert shown(restarts, RELEASE, 0, NOW + 2) is Shown.TRIAL
    assert shown(restarts, RELEASE, 0, NOW + RESTART) is Shown.SILENT


def test_the_newest_release_is_the_highest_that_fits() -> None:
    other = a_release(9, hardware_ids=("another",))
    assert newest_for(record(ME), [RELEASE, a_release(8), other]) == a_release(8)
    assert newest_for(record(ME), [other]) is None
