"""The order in which a release reaches a floor."""

from collections import Counter

from p2pupd.core.waves import earlier_stages, place, soak_minutes, stage_name, stage_of, staged
from p2pupd.model.rollout import Rollout, Wave
from tests.builders import a_release
from tests.floors import QUARTERS


def test_a_place_is_the_same_wherever_and_whenever_it_is_computed() -> None:
    assert place("a" * 52, "gateway-os", 7) == 267


def test_another_release_mixes_the_devices_anew() -> None:
    assert place("a" * 52, "gateway-os", 8) == 324
    assert place("a" * 52, "radio", 7) == 543


def test_waves_have_about_the_shares_that_they_ask_for() -> None:
    release = a_release(rollout=QUARTERS)
    found = Counter(stage_of(release, f"device {each}", ()) for each in range(10_000))
    assert found == {1: 2553, 2: 2495, 3: 4952}


def test_canaries_come_before_all_waves() -> None:
    policy = Rollout(QUARTERS.waves, ("lab",), canary_soak_minutes=5, max_failures=200)
    release = a_release(rollout=policy)
    assert stage_of(release, "x", ("lab", "east")) == 0
    assert stage_of(release, "x", ("east",)) > 0
    assert list(earlier_stages(policy, 2)) == [0, 1]
    assert list(earlier_stages(QUARTERS, 2)) == [1]
    assert [soak_minutes(policy, each) for each in range(3)] == [5, 60, 0]
    assert [stage_name(policy, each) for each in range(2)] == ["the canaries", "wave 1 of 3"]


def test_a_release_without_a_policy_has_one_wave() -> None:
    assert not staged(Rollout())
    assert staged(Rollout(canary_groups=("lab",)))
    assert staged(Rollout(waves=(Wave(10), Wave(1000))))
    assert stage_of(a_release(), "x", ("lab",)) == 1
