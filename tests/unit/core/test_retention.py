from p2pupd.core.retention import Retention, retention, supersedes
from p2pupd.model.device import Role
from p2pupd.model.ids import ComponentId, Sha256
from tests.builders import a_release, installed

OWN, STICK, OLD, NEW = (Sha256(f"{number:064x}") for number in (70, 71, 72, 73))
IMAGES = [installed(6), None, installed(7)]
PACKS = {OLD: Sha256(f"{6:064x}"), NEW: Sha256(f"{8:064x}")}


def kept(role: Role) -> Retention:
    return retention(role, under_way=[OWN], wanted=[STICK], slots=IMAGES, packs=PACKS)


def test_what_is_under_way_wanted_or_the_raw_image_of_a_slot_is_never_evicted() -> None:
    images = {Sha256(f"{number:064x}") for number in (6, 7)}
    assert kept(Role.PEER).never == {OWN, STICK} | images
    assert kept(Role.SEED) == kept(Role.PEER)


def test_packs_of_what_is_in_the_slots_are_evicted_last() -> None:
    assert kept(Role.PEER).last == {OLD}


def test_a_pack_that_is_under_way_is_not_evicted_although_it_is_in_a_slot() -> None:
    found = retention(Role.PEER, under_way=[OLD], wanted=[], slots=IMAGES, packs=PACKS)
    assert OLD in found.never
    assert found.last == frozenset()


def test_a_leech_keeps_only_what_is_under_way() -> None:
    assert kept(Role.LEECH) == Retention(frozenset({OWN}), frozenset())


def test_a_newer_release_for_all_of_the_same_hardware_supersedes_an_older_one() -> None:
    new, old = a_release(8, hardware_ids=("a", "b")), a_release(7, hardware_ids=("a",))
    assert supersedes(new, old)
    assert not supersedes(old, new)
    assert not supersedes(new, new)
    assert not supersedes(new, a_release(7, hardware_ids=("a", "c")))
    assert not supersedes(new, a_release(7, component=ComponentId("panel"), hardware_ids=("a",)))


def test_stepping_stones_and_signed_ways_back_are_not_superseded() -> None:
    new, old = a_release(8), a_release(7)
    assert not supersedes(a_release(8, min_release=7), old)
    assert not supersedes(a_release(8, rollback_to=7), old)
    assert not supersedes(new, a_release(7, rollback_from=(8,)))
