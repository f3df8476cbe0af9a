"""What may move, how fast, and until when that holds."""

from dataclasses import replace

import pytest

from p2pupd.core.allowance import (
    OUTSIDE_WINDOWS,
    PAUSED,
    Allowance,
    Limits,
    Pause,
    allow,
    urgent,
)
from p2pupd.core.windows import LocalTime, parse_window
from p2pupd.model.device import Role
from p2pupd.model.release import Urgency
from tests.builders import a_release

NOON = LocalTime(0, 12 * 60)
NOW = 1_000_000 * 60 + 7.5
"""Seven and a half seconds into a minute."""
NIGHT = Limits(windows=(parse_window("22:00-05:00"),))
ALARM = frozenset({"a" * 64})


def decide(
    limits: Limits,
    pause: Pause | None = None,
    local: LocalTime = NOON,
    role: Role = Role.PEER,
    seeds: int = 0,
) -> Allowance:
    return allow(limits, pause, NOW, local, role=role, seeds=seeds, emergencies=ALARM)


def test_without_limits_everything_moves_for_ever_with_lower_effort() -> None:
    assert decide(Limits()) == Allowance(True, 0, 0, 1, "", None, frozenset())


def test_rates_and_mark_come_from_the_limits() -> None:
    found = decide(Limits(upload=1000, download=2000, dscp=0))
    assert (found.upload, found.download, found.dscp) == (1000, 2000, 0)


@pytest.mark.parametrize(
    ("upload", "cap", "role", "seeds", "expected"),
    [
        (0, 900, Role.SEED, 0, 900),
        (0, 900, Role.SEED, 2, 300),
        (200, 900, Role.SEED, 2, 200),
        (400, 900, Role.SEED, 2, 300),
        (0, 2, Role.SEED, 9, 1),
        (0, 900, Role.PEER, 2, 0),
        (200, 900, Role.PEER, 2, 200),
    ],
)
def test_every_seed_takes_its_share_of_the_cap_of_the_site(
    upload: int, cap: int, role: Role, seeds: int, expected: int
) -> None:
    limits = Limits(upload=upload, seed_cap=cap)
    assert decide(limits, role=role, seeds=seeds).upload == expected


def test_outside_of_its_windows_nothing_moves_until_the_next_opens() -> None:
    found = decide(NIGHT)
    assert (found.moving, found.reason) == (False, OUTSIDE_WINDOWS)
    assert found.until == NOW - 7.5 + 10 * 3600
    assert not found.moves("b" * 64)


def test_inside_a_window_everything_moves_until_it_closes() -> None:
    found = decide(NIGHT, local=LocalTime(0, 23 * 60))
    assert (found.moving, found.reason, found.until) == (True, "", NOW - 7.5 + 6 * 3600)
    assert found.moves("b" * 64)


def test_an_emergency_moves_outside_of_windows() -> None:
    assert decide(NIGHT).moves("a" * 64)


def test_a_pause_by_hand_holds_back_emergencies_too() -> None:
    found = decide(NIGHT, Pause())
    assert (found.moving, found.reason, found.until) == (False, PAUSED, None)
    assert not found.moves("a" * 64)


def test_a_pause_for_a_time_ends_by_itself() -> None:
    assert decide(Limits(), Pause(NOW + 1)).until == NOW + 1
    assert decide(Limits(), Pause(NOW)).moving


def test_emergencies_are_known_by_both_digests_of_their_artifact() -> None:
    normal, alarm = a_release(1), replace(a_release(2), urgency=Urgency.EMERGENCY)
    assert urgent([normal, alarm]) == {alarm.artifact.pieces_root, alarm.artifact.sha256}
