"""When a device that is handed pieces leaves the seeds alone, and when it needs them again."""

from p2pupd.core.parting import STARVED_AFTER, Parting


def test_a_device_that_is_handed_pieces_leaves_the_seeds_alone_however_long_nothing_comes() -> None:
    parting = Parting()
    assert not parting.apart
    parting.begin()
    parting.progress(100, 1)
    parting.progress(100, 1 + 10 * STARVED_AFTER)
    assert (parting.open, parting.apart) == (True, True)


def test_when_all_is_handed_out_it_stays_away_as_long_as_bytes_come() -> None:
    parting = Parting()
    parting.begin()
    parting.end(10)
    for second in range(20):
        parting.progress(second, 10 + second)
    assert (parting.open, parting.apart) == (False, True)


def test_a_device_that_starves_returns_for_good() -> None:
    parting = Parting()
    parting.begin()
    parting.progress(100, 9)
    parting.end(10)
    parting.progress(100, 10 + STARVED_AFTER - 0.1)
    assert parting.apart
    parting.progress(100, 10.1 + STARVED_AFTER)
    assert (parting.open, parting.apart) == (False, False)
    parting.begin()
    assert not parting.apart


def test_without_a_seed_that_hands_out_it_asks_seeds_like_everybody() -> None:
    parting = Parting()
    parting.begin()
    parting.give_up()
    assert (parting.open, parting.apart) == (False, False)
