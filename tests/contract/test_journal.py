"""The contract of journal/interface.py, over every backend."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.journal.interface import HistoryEntry, Journal, KeptRecord, Outcome
from p2pupd.journal.settings import JournalSettings
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.deployment import ENDED, Phase
from p2pupd.model.ids import DeploymentId, DeviceId
from tests.builders import COMPONENT, a_record, installed


class Opener:
    """Opens the same journal again and again, as after a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: Journal | None = None

    def __call__(self) -> Journal:
        self.close()
        self._open = SqliteJournal(self._path, JournalSettings())
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open.close()


@pytest.fixture(params=["sqlite"])
def reopen(tmp_path: Path) -> Iterator[Opener]:
    opener = Opener(tmp_path / "journal.sqlite")
    yield opener
    opener.close()


def test_a_new_journal_knows_nothing(reopen: Opener) -> None:
    journal = reopen()
    assert journal.open_deployments() == ()
    assert journal.deployments(10) == ()
    assert journal.slots() == {}
    assert journal.bad_releases() == {}
    assert list(journal.history(10)) == []


def test_a_record_comes_back_as_it_was_after_a_restart(reopen: Opener) -> None:
    record = a_record(Phase.TRIAL, attempt=3, healthy=True, reason="r", detail="d", code=110)
    reopen().record(record)
    assert reopen().open_deployments() == (record,)


def test_recording_again_overwrites(reopen: Opener) -> None:
    journal = reopen()
    record = a_record(Phase.OFFERED, release=None, slot=None, previous_slot=None)
    journal.record(record)
    journal.record(record.to(Phase.REFUSED, 2000.0, reason="downgrade"))
    assert journal.deployments(10) == (record.to(Phase.REFUSED, 2000.0, reason="downgrade"),)


@pytest.mark.parametrize("phase", Phase)
def test_open_are_those_that_have_not_ended(reopen: Opener, phase: Phase) -> None:
    journal = reopen()
    journal.record(a_record(phase))
    assert bool(journal.open_deployments()) is (phase not in ENDED)


def test_open_ones_come_oldest_first_and_all_newest_first(reopen: Opener) -> None:
    journal = reopen()
    for number in ("10", "9", "11"):
        journal.record(a_record(Phase.TRIAL, id=DeploymentId(number)))
    assert [each.id for each in journal.open_deployments()] == ["9", "10", "11"]
    assert [each.id for each in journal.deployments(2)] == ["11", "10"]


def test_only_a_change_of_phase_is_history(reopen: Opener) -> None:
    journal = reopen()
    for attempt in range(3):
        journal.record(a_record(Phase.FETCHING, attempt=attempt))
    journal.record(a_record(Phase.FETCHING).to(Phase.READY, 2000.0))
    changes = [entry.fields for entry in journal.history(10)]
    assert [(each["from"], each["to"]) for each in changes] == [
        ("", "fetching"),
        ("fetching", "ready"),
    ]


def test_every_end_of_a_deployment_is_counted_once_and_for_ever(reopen: Opener) -> None:
    journal = reopen()
    assert journal.outcomes() == {}
    for number in range(1, 8):
        record = a_record(Phase.TRIAL, id=DeploymentId(str(number)))
        journal.record(record)
        journal.record(record.to(Phase.CONFIRMED, 1000.0 + number))
        journal.record(record.to(Phase.CONFIRMED, 1000.0 + number, detail="said again"))
    last = a_record(Phase.CONFIRMED, id=DeploymentId("7"))
    journal.record(last.to(Phase.REVERTING, 2000.0))
    journal.record(last.to(Phase.REVERTED, 2001.0))
    journal.record(a_record(Phase.REFUSED, id=DeploymentId("8")))
    assert reopen().outcomes() == {
        Phase.CONFIRMED: Outcome(7, 1007.0),
        Phase.REVERTED: Outcome(1, 2001.0),
        Phase.REFUSED: Outcome(1, 1000.0),
    }


def test_no_number_is_given_twice(reopen: Opener) -> None:
    given = [int(reopen().next_deployment_id()) for _ in range(3)]
    journal = reopen()
    with ThreadPoolExecutor(4) as threads:
        given += [
            int(each) for each in threads.map(lambda _: journal.next_deployment_id(), range(20))
        ]
    assert len(set(given)) == len(given)
    assert max(given) == given[0] + 22


def test_slots_hold_an_image_or_nothing(reopen: Opener) -> None:
    journal = reopen()
    journal.set_slot("A", installed(6, security_floor=2))
    journal.set_slot("B", installed(7))
    journal.set_slot("B", None)
    assert reopen().slots() == {"A": installed(6, security_floor=2), "B": None}


def test_bad_releases_are_remembered_until_cleared(reopen: Opener) -> None:
    journal = reopen()
    journal.mark_bad(COMPONENT, 7, "unhealthy", 1.0)
    journal.mark_bad(COMPONENT, 7, "timeout", 2.0)
    journal.mark_bad(COMPONENT, 8, "unhealthy", 3.0)
    assert reopen().bad_releases() == {(COMPONENT, 7): "timeout", (COMPONENT, 8): "unhealthy"}
    journal = reopen()
    journal.clear_bad(COMPONENT, 7)
    journal.clear_bad(COMPONENT, 99)
    assert journal.bad_releases() == {(COMPONENT, 8): "unhealthy"}


def test_history_gives_the_newest_oldest_first(reopen: Opener) -> None:
    journal = reopen()
    entries = [HistoryEntry(float(number), "event", {"n": str(number)}) for number in range(5)]
    for entry in entries:
        journal.note(entry)
    assert list(reopen().history(3)) == entries[2:]


def test_the_view_of_the_floor_comes_back_as_it_was_kept(reopen: Opener) -> None:
    kept = KeptRecord(DeviceId("a"), b"raw", 1.5, 1.0, True, 2.0, 3.0)
    other = KeptRecord(DeviceId("b"), b"war", 1.5, 1.0, False, 0.0, 0.0)
    journal = reopen()
    assert list(journal.view()) == []
    journal.keep_view([kept, other], [])
    journal.keep_view([replace(kept, raw=b"later")], [DeviceId("b")])
    assert list(reopen().view()) == [replace(kept, raw=b"later")]


def test_the_number_of_the_own_record_is_remembered(reopen: Opener) -> None:
    journal = reopen()
    assert journal.own_records_numbered() == (0, 0)
    journal.number_own_records(2, 128)
    assert reopen().own_records_numbered() == (2, 128)
