"""A rate that is kept without bursts."""

from p2pupd.core.pace import Pace


def test_bytes_go_one_after_the_other_at_the_rate() -> None:
    pace = Pace(100)
    assert [pace.wait(50, 10.0) for _ in range(3)] == [0.0, 0.5, 1.0]


def test_a_pause_is_not_made_up_for() -> None:
    pace = Pace(100)
    pace.wait(50, 10.0)
    assert pace.wait(50, 60.0) == 0.0
    assert pace.wait(50, 60.0) == 0.5


def test_without_a_rate_nothing_waits() -> None:
    pace = Pace()
    assert [pace.wait(10**9, 1.0) for _ in range(2)] == [0.0, 0.0]


def test_a_changed_rate_counts_from_the_next_bytes_on() -> None:
    pace = Pace(100)
    pace.wait(100, 1.0)
    pace.rate = 1000
    assert pace.wait(100, 1.0) == 1.0
    assert pace.wait(100, 1.0) == 1.1
    pace.rate = 0
    assert pace.wait(100, 1.0) == 0.0
