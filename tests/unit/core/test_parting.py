"""When a device that is handed pieces leaves the seeds alone, and when it needs them again."""

from p2pupd.core.parting import LONGEST, STARVED_AFTER, Parting


def test_a_device_that_is_handed_pieces_leaves_the_seeds_alone_however_long_nothing_comes() -> None:
    parting = Parting()
    assert not parting.apart
    parting.begin(0)
    parting.progress(100, 1)
    parting.progress(100, 1 + 10 * STARVED_AFTER)
    assert (parting.open, parting.apart) == (True, True)


def test_when_all_is_handed_out_it_stays_away_as_long_as_bytes_come() -> None:
    parting = Parting()
    parting.begin(0)
    parting.ebb(100)
    for second in range(50):
        parting.progress(second, 100 + second)
    parting.ebb(149)
    assert (parting.open, parting.apart) == (True, True)
    parting.end()
    assert (parting.open, parting.apart) == (False, True)


def test_a_trickle_does_not_keep_it_away_for_much_longer_than_the_handout_took() -> None:
    for took in (2, 100):
        parting = Parting()
        parting.begin(1000)
        parting.begin(1001)
        parting.ebb(1000 + took)
        most = max(int(LONGEST), took // 2)
        for second in range(most):
            parting.progress(second, 1000 + took + second)
        assert parting.apart
        parting.progress(most, 1000 + took + most)
        assert (parting.open, parting.apart) == (False, False)


def test_a_device_that_starves_returns_for_good() -> None:
    parting = Parting()
    parting.begin(0)
    parting.progress(100, 9)
    parting.ebb(10)
    parting.progress(100, 10 + STARVED_AFTER - 0.1)
    assert parting.apart
    parting.progress(100, 10.1 + STARVED_AFTER)
    assert (parting.open, parting.apart) == (False, False)
    parting.begin(99)
    assert not parting.apart


def test_without_a_seed_that_hands_out_it_asks_seeds_like_everybody() -> None:
    parting = Parting()
    parting.begin(0)
    parting.give_up()
    assert (parting.open, parting.apart) == (False, False)


def test_what_does_not_come_in_a_pause_is_nobodys_fault() -> None:
    parting = Parting()
    parting.begin(0)
    parting.ebb(5)
    for second in range(5, 500):
        parting.rest(second)
    parting.progress(0, 500)
    assert parting.apart
    parting.progress(0, 500 + STARVED_AFTER)
    assert not parting.apart
