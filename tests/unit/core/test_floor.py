from p2pupd.core.digest_tree import Index, name_of
from p2pupd.core.floor import Floor, Taken, stamp_bytes
from p2pupd.model.fleet import Stamp, Standing
from tests.saying import NOW, device, seen


def _floor(limit: int = 4, *numbers: int) -> Floor:
    floor = Floor(limit, Index())
    for number in numbers:
        assert floor.take(seen(number, first=NOW + number)) is Taken.NEWS
    return floor


def test_what_is_newer_is_taken_what_is_older_is_not() -> None:
    floor = _floor(4)
    assert floor.take(seen(1, sequence=2, news=2)) is Taken.NEWS
    assert floor.take(seen(1, sequence=2, news=2)) is Taken.KNOWN
    assert floor.take(seen(1, sequence=3, news=2)) is Taken.BEAT
    assert floor.take(seen(1, sequence=2, news=2)) is Taken.OLD
    held = floor.get(device(1).id)
    assert held is not None
    assert held.record.sequence == 3
    assert len(floor) == 1


def test_a_replay_changes_nothing_that_is_told_to_others() -> None:
    index = Index()
    floor = Floor(4, index)
    floor.take(seen(1, sequence=9))
    before = index.stamps.digest()
    floor.take(seen(1, sequence=8, heard=NOW - 100))
    assert index.stamps.digest() == before


def test_when_it_is_full_strangers_are_turned_away_and_who_is_known_stays() -> None:
    floor = _floor(4, 1, 2, 3, 4)
    assert floor.full
    assert floor.take(seen(5)) is Taken.FULL
    assert floor.take(seen(2, sequence=2, news=2)) is Taken.NEWS
    assert set(floor.view().entries) == {device(each).id for each in (1, 2, 3, 4)}


def test_a_neighbour_comes_in_for_the_stranger_heard_of_last() -> None:
    floor = _floor(4, 1, 2, 3, 4)
    assert floor.take(seen(9, direct=True, alive=float(NOW))) is Taken.NEWS
    assert set(floor.view().entries) == {device(each).id for each in (1, 2, 3, 9)}
    assert floor.named(name_of(device(4).id)) is None
    assert device(4).id in floor.touched()
    assert floor.touched() == frozenset()


def test_neighbours_and_this_device_are_never_pushed_out() -> None:
    floor = Floor(3, Index())
    floor.take(seen(1, standing=Standing.OWN))
    floor.take(seen(2, direct=True, alive=float(NOW)))
    floor.take(seen(3, direct=True, alive=float(NOW)))
    assert floor.take(seen(9, direct=True, alive=float(NOW))) is Taken.FULL


def test_a_neighbour_that_is_lost_makes_room_like_a_stranger() -> None:
    floor = Floor(2, Index())
    floor.take(seen(1, standing=Standing.OWN))
    floor.take(seen(2, direct=True, alive=float(NOW)))
    floor.lost(device(2).id, NOW + 1.0)
    assert floor.take(seen(9, direct=True, alive=float(NOW))) is Taken.NEWS
    assert device(2).id not in floor.view().entries


def test_ten_thousand_made_up_devices_leave_room_for_no_more_than_the_limit() -> None:
    floor = _floor(64, 1, 2, 3)
    template = seen(1)
    taken = []
    for number in range(10_000):
        record = template.record
        fake = f"{number:052}".translate(str.maketrans("0189", "abcd"))
        made_up = type(record)(
            **{name: getattr(record, name) for name in record.__slots__} | {"device": fake}
        )
        taken.append(floor.take(type(template)(made_up, template.stamp, b"", NOW, NOW + 9)))
    assert len(floor) == 64
    assert {device(each).id for each in (1, 2, 3)} <= set(floor.view().entries)
    assert taken.count(Taken.FULL) >= 9_900


def test_who_answers_us_is_our_neighbour_and_of_others_nothing_is_noted() -> None:
    floor = _floor(4, 1)
    floor.answered(device(1).id, NOW + 7.0)
    floor.answered(device(2).id, NOW + 7.0)
    floor.lost(device(2).id, NOW + 7.0)
    held = floor.named(name_of(device(1).id))
    assert held is not None
    assert (held.direct, held.alive) == (True, NOW + 7.0)
    assert device(2).id not in floor.view().entries


def test_stamps_are_ordered_as_their_bytes() -> None:
    stamps = [Stamp(0, 1, 9), Stamp(0, 2), Stamp(0, 300), Stamp(1, 1), Stamp(256, 0, 1)]
    assert sorted(map(stamp_bytes, reversed(stamps))) == list(map(stamp_bytes, stamps))
