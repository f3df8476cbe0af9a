"""When a device that has its own share leaves the seeds to others, and when it returns."""

from p2pupd.core.parting import STARVED_AFTER, Parting


def test_a_device_stays_with_the_seeds_until_it_leaves() -> None:
    parting = Parting()
    parting.progress(100, 1)
    parting.progress(100, 1 + 10 * STARVED_AFTER)
    assert (parting.open, parting.apart) == (True, False)


def test_a_device_that_left_stays_away_as_long_as_bytes_come() -> None:
    parting = Parting()
    parting.leave(10)
    for second in range(20):
        parting.progress(second, 10 + second)
    assert (parting.open, parting.apart) == (False, True)


def test_a_device_that_starves_returns_for_good() -> None:
    parting = Parting()
    parting.progress(100, 9)
    parting.leave(10)
    parting.progress(100, 10 + STARVED_AFTER - 0.1)
    assert parting.apart
    parting.progress(100, 10.1 + STARVED_AFTER)
    assert (parting.open, parting.apart) == (False, False)
