"""Each piece goes to one device, as long as that device gets it."""

from hypothesis import given
from hypothesis import strategies as st

from p2pupd.core.handout import FEWEST_MAKERS, LATE, RECENT, WORTH_IT, Handout, Turn, bits, pays


def taken(turn: Turn, most: int = 1000) -> list[int]:
    found: list[int] = []
    while len(found) < most and (piece := turn.next()) is not None:
        found.append(piece)
    return found


def everything(pieces: int, first: int = 0) -> Handout:
    handout = Handout(pieces, first)
    handout.arrived([True] * pieces)
    return handout


@given(st.integers(1, 200), st.integers(0, 1000), st.lists(st.integers(0, 3), max_size=400))
def test_whoever_takes_how_much_every_piece_is_given_once(
    pieces: int, first: int, order: list[int]
) -> None:
    handout = everything(pieces, first)
    turns = [handout.turn(b"") for _ in range(4)]
    given_out = [turns[who].next() for who in order]
    rest = [piece for turn in turns for piece in taken(turn)]
    all_of_them = [piece for piece in given_out if piece is not None] + rest
    assert sorted(all_of_them) == list(range(pieces))


def test_on_a_small_floor_seeds_choose_only_of_what_some_devices_may_make() -> None:
    for made, fewest in [(False, 9), (True, FEWEST_MAKERS)]:
        assert pays(WORTH_IT, fewest, 9, made=made)
        assert not pays(WORTH_IT, fewest - 1, 9, made=made)
        assert not pays(WORTH_IT - 1, 100, 9, made=made)
    assert pays(WORTH_IT, 1, 1, made=True)


def test_seeds_that_begin_elsewhere_meet_at_the_end() -> None:
    assert taken(everything(5, 3).turn(b"")) == [3, 4, 0, 1, 2]


def test_what_is_not_wanted_stays_for_others() -> None:
    handout = everything(10)
    assert taken(handout.turn(bits([True] * 8 + [False] * 2))) == [8, 9]
    assert taken(handout.turn(b"")) == list(range(8))


def test_a_list_that_is_too_short_leaves_the_rest_wanted() -> None:
    assert taken(everything(12).turn(b"\xff")) == [8, 9, 10, 11]


def test_only_what_has_arrived_is_given_and_what_arrives_later_comes_later() -> None:
    handout = Handout(4)
    handout.arrived([False, True, False, False])
    turn = handout.turn(b"")
    assert taken(turn) == [1]
    assert not handout.complete
    handout.arrived([True] * 4)
    assert taken(turn) == [0, 2, 3]
    handout.arrived([True] * 4)
    assert taken(turn) == []
    assert handout.complete


def test_what_a_broken_connection_may_have_lost_goes_to_somebody_who_wants_it() -> None:
    handout = everything(10)
    gone = handout.turn(b"")
    assert taken(gone, 6) == [0, 1, 2, 3, 4, 5]
    gone.broken()
    gone.broken()
    assert taken(handout.turn(bits([True] * 10))) == []
    has_some = bits([False] * 4 + [True] + [False] * 5)
    assert taken(handout.turn(has_some)) == [6, 7, 8, 9, 2, 3, 5]
    assert taken(handout.turn(b"")) == [4]
    assert RECENT == 4


def test_what_cannot_be_sent_yet_holds_nothing_up_and_comes_last() -> None:
    handout = everything(3)
    turn = handout.turn(b"")
    assert turn.next() == 0
    turn.missed(0)
    assert taken(turn, 3) == [1, 2, 0]
    turn.broken()
    assert taken(handout.turn(b"")) == [1, 2, 0]


@given(st.lists(st.booleans(), max_size=50))
def test_bits_tell_what_they_were_made_of(flags: list[bool]) -> None:
    turn = Handout(max(1, len(flags))).turn(bits(flags))
    assert [not turn.wants(number) for number in range(len(flags))] == flags
    assert len(bits(flags)) == -(-len(flags) // 8)


def test_what_another_device_has_is_handed_out_last() -> None:
    handout = everything(6)
    newcomer = handout.turn(b"")
    assert newcomer.next() == 0
    handout.turn(bits([False, True, True, True, False, False]))
    assert taken(newcomer) == [4, 5]
    assert newcomer.is_old
    again = handout.turn(bits([True, False, True, False, True, True]))
    assert taken(again) == [1, 3]
    assert not again.is_old


def test_what_devices_probably_make_is_handed_out_only_once_they_had_time_to_say_so() -> None:
    handout = everything(6)
    handout.guessed = {0, 1, 4}
    assert taken(handout.turn(b"")) == [2, 3, 5]
    assert taken(handout.turn(bits([True] * 4 + [False] * 2))) == []
    handout.guessed = ()
    assert taken(handout.turn(b"")) == [4]
    assert taken(handout.turn(b"")) == [0, 1]


def test_of_what_others_have_little_is_handed_out_before_it_is_asked_for_anew() -> None:
    pieces = 2 * LATE + 3
    handout = everything(pieces)
    handout.turn(bits([True] * pieces))
    for count in (LATE, LATE, 3):
        turn = handout.turn(b"")
        assert len(taken(turn)) == count
        assert turn.is_old is (count == LATE)
