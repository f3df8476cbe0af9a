from collections.abc import Sequence

import pytest

from p2pupd.model.ids import DeviceId
from p2pupd.swarm.interface import SwarmPeer
from p2pupd.swarm.mesh import Met, callees, home_pieces, request_queue, sharers
from p2pupd.swarm.settings import SwarmSettings

ALICE = DeviceId("alice")


def a_peer(name: str, *, carries_all: bool = False, uplink: bool = False) -> SwarmPeer:
    return SwarmPeer(DeviceId(name), f"10.0.0.{name}", 7000, carries_all, uplink=uplink)


def names(peers: Sequence[SwarmPeer]) -> list[str]:
    return [each.id for each in peers]


FLOOR = [a_peer("1"), a_peer("2"), a_peer("seed", carries_all=True), a_peer("3"), a_peer("4")]


def test_devices_that_start_together_share_the_pieces_among_them() -> None:
    ids = [DeviceId(name) for name in ("carol", "alice", "bob")]
    shares = [home_pieces(8, own, set(ids) - {own}) for own in ids]
    for piece in range(8):
        assert sorted(share[piece] for share in shares) == [1, 1, 7]


def test_the_shares_of_all_devices_are_the_whole_and_nothing_twice() -> None:
    ids = [DeviceId(name) for name in ("carol", "alice", "bob")]
    shares = [home_pieces(9, own, ids) for own in ids]
    assert [share.count(7) for share in shares] == [3, 3, 3]
    assert all(sum(each) == 9 for each in zip(*shares, strict=True))


def test_alone_every_piece_has_the_same_priority() -> None:
    assert len(set(home_pieces(8, ALICE, ()))) == 1


@pytest.mark.parametrize(
    ("fetching", "queue"), [(0, 250), (1, 250), (2, 8), (4, 4), (8, 2), (200, 2)]
)
def test_the_more_devices_the_shorter_the_request_queue(fetching: int, queue: int) -> None:
    assert request_queue(SwarmSettings().outstanding, fetching) == queue


def test_every_seed_is_called_and_the_best_of_the_others() -> None:
    assert names(callees(FLOOR, 2, ())) == ["seed", "1", "2"]
    assert names(callees(FLOOR, 8, ())) == ["seed", "1", "2", "3", "4"]


def test_every_device_with_an_uplink_is_called() -> None:
    assert names(callees([*FLOOR, a_peer("9", uplink=True)], 1, ())) == ["seed", "9", "1"]


def test_whoever_did_not_answer_is_made_up_for_by_the_next() -> None:
    called = {"10.0.0.seed", "10.0.0.1", "10.0.0.2"}
    assert names(callees(FLOOR, 1, called)) == ["3"]
    assert names(callees(FLOOR, -3, called)) == []


def test_who_was_called_in_vain_or_has_everything_fetches_nothing() -> None:
    met = {"10.0.0.2": Met("10.0.0.2", True), "10.0.0.3": Met("10.0.0.3", False)}
    called = {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert sharers(ALICE, FLOOR, called, met) == {ALICE, "3", "4"}


def test_at_first_everyone_but_seeds_is_taken_to_fetch() -> None:
    assert sharers(ALICE, FLOOR, (), {}) == {ALICE, "1", "2", "3", "4"}
