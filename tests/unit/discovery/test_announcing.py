from dataclasses import replace

from p2pupd.discovery.announcing import AnnouncementPace
from p2pupd.model.device import Announcement, Role
from p2pupd.model.ids import DeviceId, Realm

FIRST = Announcement(DeviceId("a" * 52), Realm("0" * 16), "", Role.PEER, 7830, 6881)


def test_nothing_is_due_while_nothing_changed() -> None:
    assert AnnouncementPace(FIRST, 10).due() is None


def test_the_first_change_goes_out_at_once_and_the_next_of_its_kind_waits() -> None:
    pace = AnnouncementPace(FIRST, 10)

    pace.wanted = replace(FIRST, manifest="1" * 16)
    due = pace.due()
    assert due is not None
    assert due <= 100
    assert pace.send(100).manifest == "1" * 16

    pace.wanted = replace(FIRST, manifest="2" * 16)
    assert pace.due() == 110


def test_the_newest_of_several_waiting_changes_is_sent_in_the_end() -> None:
    pace = AnnouncementPace(FIRST, 10)
    pace.wanted = replace(FIRST, manifest="1" * 16)
    pace.send(100)
    for digit in "234":
        pace.wanted = replace(FIRST, manifest=digit * 16)

    assert pace.send(110).manifest == "4" * 16
    assert pace.due() is None


def test_a_change_of_another_kind_does_not_wait_and_takes_the_rest_along() -> None:
    pace = AnnouncementPace(FIRST, 10)
    pace.wanted = replace(FIRST, manifest="1" * 16)
    pace.send(100)

    pace.wanted = replace(FIRST, manifest="2" * 16, bt_port=7000)

    due = pace.due()
    assert due is not None
    assert due <= 101
    assert pace.send(101) == replace(FIRST, manifest="2" * 16, bt_port=7000)


def test_a_change_that_was_taken_back_is_not_sent() -> None:
    pace = AnnouncementPace(FIRST, 10)
    pace.wanted = replace(FIRST, role=Role.SEED)
    pace.wanted = FIRST

    assert pace.due() is None
