from pathlib import Path

import pytest

from p2pupd.engine.own_word import BLOCK, OwnWord
from p2pupd.journal.settings import JournalSettings
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.fleet import Stamp, StatusRecord
from p2pupd.trust.envelope import unseal
from p2pupd.trust.records import MAX_BYTES, verify
from p2pupd.wire.records import LAST_EPOCH
from tests.saying import CLOCK, REALM, a_status, device


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def _started(path: Path, said: StatusRecord | None = None) -> OwnWord:
    word = OwnWord(device(1), SqliteJournal(path, JournalSettings()))
    word.load()
    word.resume(said)
    return word


def _next(word: OwnWord, **changes: object) -> StatusRecord:
    return verify(unseal(word.next(a_status(1, **changes)), MAX_BYTES), REALM, "", CLOCK)[0]


def test_each_record_is_later_than_the_one_before_also_after_a_restart(path: Path) -> None:
    word = _started(path)
    numbers = [_next(word).sequence for _ in range(BLOCK + 3)]
    assert numbers == list(range(1, BLOCK + 4))
    assert _next(_started(path)).sequence > numbers[-1]


def test_only_what_lasts_is_news(path: Path) -> None:
    word = _started(path)
    assert word.differs(a_status(1))
    assert _next(word).news == 1
    assert not word.differs(a_status(1, at=7, beat=9, store_free=1))
    assert _next(word, store_free=1).news == 1
    assert _next(word, model="new").news == 3


def test_after_a_restart_the_same_content_is_no_news(path: Path) -> None:
    said = _next(_started(path))
    word = _started(path, said)
    assert not word.differs(a_status(1))
    assert _next(word).news == said.news


def test_whoever_is_overtaken_while_it_speaks_knows_its_epoch_after_a_restart(path: Path) -> None:
    class Interrupted(SqliteJournal):
        def number_own_records(self, epoch: int, sequence: int) -> None:
            super().number_own_records(epoch, sequence)
            word.overtaken(Stamp(5, 10))

    word = OwnWord(device(1), Interrupted(path, JournalSettings()))
    word.load()
    said = [_next(word), _next(word)]
    assert said[-1].epoch == 6
    after = _next(_started(path))
    assert (after.epoch, after.sequence) > (6, said[-1].sequence)


@pytest.mark.parametrize("number", [1, 900])
def test_a_device_that_lost_count_goes_on_in_the_next_epoch(path: Path, number: int) -> None:
    word = _started(path)
    _next(word)
    word.overtaken(Stamp(0, number, 1))
    assert word.differs(a_status(1))
    after = _next(word)
    assert (after.epoch, after.sequence, after.news) == (1, 1, 1)
    assert _next(_started(path)).epoch == 1


def test_what_a_backup_says_is_not_taken_for_the_last_word(path: Path) -> None:
    word = _started(path, a_status(1, epoch=3, sequence=9))
    assert word.differs(a_status(1))
    assert _next(word).epoch == 0


@pytest.mark.parametrize("stamp", [Stamp(0, 0), Stamp(LAST_EPOCH, 5)])
def test_an_earlier_number_or_one_that_cannot_be_topped_changes_nothing(
    path: Path, stamp: Stamp
) -> None:
    word = _started(path)
    _next(word)
    word.overtaken(stamp)
    assert _next(word).epoch == 0
