"""What a transfer knows of its pace."""

from p2pupd.engine.transfers import RATE_OVER, Meter


def test_a_rate_is_that_of_the_last_seconds_from_whatever_source() -> None:
    meter = Meter()
    assert meter.rate(0.0) == 0
    for second in range(10):
        meter.saw(1000 * second, float(second))
    assert meter.rate(9.0) == 1000
    assert meter.rate(9.0 + RATE_OVER) == 500
    meter.saw(9000, 10.0 + RATE_OVER)
    meter.saw(9000, 10.0 + 3 * RATE_OVER)
    assert meter.rate(10.0 + 3 * RATE_OVER) == 0


def test_a_rate_begins_anew_when_something_was_lost() -> None:
    meter = Meter()
    meter.saw(10_000, 0.0)
    meter.saw(100, 1.0)
    meter.saw(1100, 2.0)
    assert meter.rate(2.0) == 1000


def test_a_moment_is_no_rate() -> None:
    meter = Meter()
    meter.saw(0, 0.0)
    meter.saw(1000, 0.001)
    assert meter.rate(0.001) == 2000
