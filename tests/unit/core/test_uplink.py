"""Each piece crosses the internet link once, whoever has one, and whoever of them dies."""

from collections.abc import Collection

from p2pupd.core.uplink import DOUBT_AFTER, HELP_AFTER, SEGMENT, Lack, bytes_of, next_run
from p2pupd.model.ids import DeviceId, Sha256
from p2pupd.model.release import Artifact

ALICE, BOB, CAROL = (DeviceId(name) for name in ("alice", "bob", "carol"))
PIECE = 256 * 1024
IN_SEGMENT = SEGMENT // PIECE
ARTIFACT = Artifact(10 * SEGMENT + 5, Sha256("a"), Sha256("b"), PIECE)


def lack(
    here: Collection[int] = (), elsewhere: Collection[int] = (), claimed: Collection[int] = ()
) -> Lack:
    pieces = range(ARTIFACT.pieces)
    return Lack(
        [piece in here for piece in pieces], [piece in elsewhere for piece in pieces], claimed
    )


def pieces_of(own: DeviceId, others: Collection[DeviceId], what: Lack, idle: float) -> range:
    return next_run(ARTIFACT, own, others, what, idle).pieces


def brought(own: DeviceId, others: Collection[DeviceId], what: Lack, idle: float = 0) -> list[int]:
    """Everything that `own` brings, one run after another, if nobody else does anything."""
    claimed = set(what.claimed)
    while run := pieces_of(own, others, Lack(what.here, what.elsewhere, claimed), idle):
        assert len(run) <= IN_SEGMENT
        claimed.update(run)
    return sorted(claimed - set(what.claimed))


def test_devices_with_an_uplink_bring_every_piece_once() -> None:
    floor = {ALICE, BOB, CAROL}
    shares = [brought(own, floor - {own}, lack()) for own in floor]
    assert sorted(piece for share in shares for piece in share) == list(range(ARTIFACT.pieces))
    assert max(map(len, shares)) <= min(map(len, shares)) + 2 * IN_SEGMENT


def test_a_device_alone_brings_everything_from_the_front() -> None:
    assert pieces_of(ALICE, (), lack(), 0) == range(IN_SEGMENT)
    assert brought(ALICE, (), lack()) == list(range(ARTIFACT.pieces))


def test_what_somebody_on_the_floor_has_is_left_to_the_lan() -> None:
    assert brought(ALICE, (), lack(here=[0, 1], elsewhere=[2, 5])) == [3, 4, *range(6, 41)]


def test_a_run_ends_where_something_is_there_already() -> None:
    assert pieces_of(ALICE, (), lack(here=[2]), 0) == range(2)
    assert pieces_of(ALICE, (), lack(claimed=[0]), 0) == range(1, IN_SEGMENT)


def test_when_one_goes_its_share_falls_to_the_others() -> None:
    half = brought(ALICE, [BOB], lack())
    assert brought(ALICE, (), lack(claimed=half)) == sorted(set(range(41)) - set(half))


def test_who_is_done_helps_a_slow_one_from_the_far_end() -> None:
    own = brought(ALICE, [BOB], lack())
    rest = lack(claimed=own)
    assert not pieces_of(ALICE, [BOB], rest, HELP_AFTER / 2)
    run = pieces_of(ALICE, [BOB], rest, HELP_AFTER)
    assert run[-1] == max(set(range(41)) - set(own))
    assert not next_run(ARTIFACT, ALICE, [BOB], rest, HELP_AFTER).share
    assert not next_run(ARTIFACT, ALICE, [BOB], rest, HELP_AFTER, patience=9).pieces


def test_helpers_of_a_slow_one_bring_different_pieces() -> None:
    floor = [ALICE, BOB, CAROL]
    done = [*brought(ALICE, [BOB, CAROL], lack()), *brought(BOB, [ALICE, CAROL], lack())]
    runs = [pieces_of(own, floor, lack(claimed=done), HELP_AFTER) for own in (ALICE, BOB)]
    assert not set(runs[0]) & set(runs[1])


def test_what_neighbours_have_but_do_not_pass_on_is_brought_in_the_end() -> None:
    everywhere = lack(elsewhere=range(41))
    assert not pieces_of(ALICE, (), everywhere, DOUBT_AFTER / 2)
    assert pieces_of(ALICE, (), everywhere, DOUBT_AFTER) == range(IN_SEGMENT)
    assert not next_run(ARTIFACT, ALICE, (), everywhere, DOUBT_AFTER).share


def test_the_last_piece_is_as_long_as_it_is() -> None:
    assert bytes_of(ARTIFACT, range(39, 41)) == (39 * PIECE, PIECE + 5)
