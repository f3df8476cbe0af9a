"""The journal's file: durable, bounded, readable by others, never a reason not to start."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from p2pupd.errors import HostError, SpaceError
from p2pupd.journal.interface import HistoryEntry, Outcome
from p2pupd.journal.schema import APPLICATION_ID, MIGRATIONS
from p2pupd.journal.settings import JournalSettings
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.deployment import Phase
from p2pupd.model.ids import DeploymentId
from p2pupd.model.setting import Seconds
from tests.builders import a_record
from tests.support import needs_root

SETTINGS = JournalSettings(history_entries=10, ended_deployments=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal(path, SETTINGS)
    yield opened
    opened.close()


def test_the_file_says_what_it_is_and_commits_are_fsynced(journal: SqliteJournal) -> None:
    def pragma(name: str) -> object:
        return journal._connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert pragma("application_id") == APPLICATION_ID
    assert pragma("user_version") == len(MIGRATIONS)
    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2


def test_others_read_while_we_write(journal: SqliteJournal, path: Path) -> None:
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM deployment").fetchone() == (0,)
    journal.record(a_record(Phase.TRIAL))
    assert reader.execute("SELECT count(*) FROM deployment").fetchone() == (0,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT phase FROM deployment").fetchone() == ("trial",)
    reader.close()


def test_the_history_and_the_ended_deployments_are_bounded(journal: SqliteJournal) -> None:
    for number in range(1, 9):
        journal.record(a_record(Phase.FAILED, id=DeploymentId(str(number))))
    journal.record(a_record(Phase.TRIAL, id=DeploymentId("9")))
    assert [each.id for each in journal.deployments(100)] == ["9", "8", "7", "6"]
    for number in range(30):
        journal.note(HistoryEntry(float(number), "x", {}))
    assert [entry.at for entry in journal.history(100)] == [float(n) for n in range(20, 30)]


WRITER = """
import sys
from pathlib import Path
from p2pupd.journal.settings import JournalSettings
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.deployment import Phase
from p2pupd.model.ids import DeploymentId
from p2pupd.model.setting import Seconds
from tests.builders import a_record
journal = SqliteJournal(Path(sys.argv[1]), JournalSettings(ended_deployments=10_000))
while True:
    number = journal.next_deployment_id()
    journal.record(a_record(Phase.TRIAL, id=number))
    print(number, flush=True)
"""


def test_what_was_acknowledged_before_a_kill_is_there_after_it(path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().strip() for _ in range(50)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += writer.stdout.read().split()
    writer.stdout.close()
    writer.wait()
    journal = SqliteJournal(path, SETTINGS)
    assert set(acknowledged) <= {each.id for each in journal.open_deployments()}
    assert int(journal.next_deployment_id()) > int(acknowledged[-1])
    assert journal.set_aside is None
    journal.close()


def damage(path: Path, how: str) -> None:
    """Close-to-life damage of a journal that holds something."""
    journal = SqliteJournal(path, JournalSettings())
    for number in range(1, 200):
        journal.record(a_record(Phase.TRIAL, id=DeploymentId(str(number))))
    journal.close()
    content = bytearray(path.read_bytes())
    if how == "header":
        content[:100] = os.urandom(100)
    elif how == "pages":
        content[4096:] = os.urandom(len(content) - 4096)
    elif how == "cut":
        del content[len(content) // 2 :]
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["header", "pages", "cut"])
def test_a_damaged_journal_is_set_aside_and_a_new_one_begun(
    path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    damage(path, how)
    journal = SqliteJournal(path, SETTINGS, now=lambda: 5.0)
    aside = path.with_name("journal.sqlite.damaged-1")
    assert journal.set_aside == aside
    assert aside.exists()
    assert journal.open_deployments() == ()
    assert journal.history(10) == [HistoryEntry(5.0, "journal.damaged", {"moved_to": str(aside)})]
    assert "journal.damaged" in caplog.text
    journal.close()


def test_the_log_of_a_damaged_journal_goes_with_it(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    path.with_name("journal.sqlite-wal").write_bytes(b"log")
    SqliteJournal(path, SETTINGS).close()
    assert path.with_name("journal.sqlite.damaged-1").read_bytes().startswith(b"not a database")
    assert sqlite3.connect(path).execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(HostError, match="another program"):
        SqliteJournal(path, SETTINGS)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["journal.sqlite"]


def test_a_journal_of_a_newer_version_is_used_as_it_is(path: Path) -> None:
    SqliteJournal(path, SETTINGS).close()
    with sqlite3.connect(path) as newer:
        newer.execute("ALTER TABLE deployment ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'")
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.close()
    journal = SqliteJournal(path, SETTINGS)
    journal.record(a_record(Phase.TRIAL))
    assert journal.open_deployments() == (a_record(Phase.TRIAL),)
    journal.close()
    with sqlite3.connect(path) as after:
        assert after.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    after.close()


def test_what_ended_before_ends_were_counted_counts(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as older:
        older.executescript(MIGRATIONS[0])
        older.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        older.execute("PRAGMA user_version = 1")
        for number, phase, ended in ((1, "confirmed", 1), (2, "confirmed", 1), (3, "trial", 0)):
            older.execute(
                "INSERT INTO deployment VALUES (?, ?, ?, '', '', 0, ?, NULL, 0, NULL, NULL, 0, '',"
                " '', 0)",
                (number, phase, ended, 100.0 * number),
            )
    older.close()
    journal = SqliteJournal(path, SETTINGS)
    assert journal.outcomes() == {Phase.CONFIRMED: Outcome(2, 200.0)}
    journal.record(a_record(Phase.CONFIRMED, id=DeploymentId("3")))
    assert journal.outcomes() == {Phase.CONFIRMED: Outcome(3, 1000.0)}
    journal.close()


def test_what_is_forgotten_stays_counted(journal: SqliteJournal) -> None:
    for number in range(1, 10):
        journal.record(a_record(Phase.REFUSED, id=DeploymentId(str(number))))
    assert len(journal.deployments(100)) < 9
    assert journal.outcomes()[Phase.REFUSED].number == 9


def test_records_that_only_a_newer_version_understands_do_not_stop_us(
    journal: SqliteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    for number in ("1", "2", "3"):
        journal.record(a_record(Phase.TRIAL, id=DeploymentId(number)))
    write = journal._connection.execute
    write("UPDATE deployment SET release = replace(release, 'slots', 'magic') WHERE id = 1")
    write("UPDATE deployment SET phase = 'dreaming' WHERE id = 2")
    first, third = journal.open_deployments()
    assert (first.id, first.release) == ("1", None)
    assert third == a_record(Phase.TRIAL, id=DeploymentId("3"))
    assert "journal.unreadable-release" in caplog.text
    assert "journal.unknown-phase" in caplog.text


def test_a_source_that_is_no_utf8_is_journaled_readably(journal: SqliteJournal) -> None:
    journal.record(a_record(Phase.TRIAL, source="usb:/media/\udcff"))
    assert journal.open_deployments()[0].source == "usb:/media/\\udcff"


def test_a_directory_in_the_files_place_is_a_clear_error(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(HostError, match="cannot open the journal"):
        SqliteJournal(path, SETTINGS)


def test_what_brought_about_the_running_release_outlives_what_came_to_nothing(
    journal: SqliteJournal,
) -> None:
    for number in range(1, 10):
        phase = Phase.CONFIRMED if number in (1, 2) else Phase.REFUSED
        journal.record(a_record(phase, id=DeploymentId(str(number))))
    assert [each.id for each in journal.deployments(100)] == ["9", "8", "7", "2"]


def test_after_closing_every_use_is_an_error(journal: SqliteJournal) -> None:
    journal.close()
    with pytest.raises(HostError, match="closed"):
        journal.note(HistoryEntry(0, "x", {}))
    with pytest.raises(HostError, match="closed"):
        journal.slots()


def test_a_writer_that_does_not_let_go_is_an_error_and_changes_nothing(path: Path) -> None:
    journal = SqliteJournal(path, JournalSettings(busy_timeout=Seconds(0.05)))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(HostError, match=r"journal a deployment in .*locked"):
        journal.record(a_record(Phase.TRIAL))
    other.execute("ROLLBACK")
    other.close()
    assert journal.open_deployments() == ()
    journal.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "small", point], check=True)
    yield point
    subprocess.run(["umount", "-l", point], check=True)


@needs_root
def test_a_full_disk_is_a_space_error_and_loses_nothing(small_disk: Path) -> None:
    journal = SqliteJournal(small_disk / "journal.sqlite", JournalSettings())
    journal.record(a_record(Phase.TRIAL))
    with suppress(OSError), open(small_disk / "filler", "wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            continue
    detail = "x" * 100_000
    with pytest.raises((SpaceError, HostError)):
        journal.record(a_record(Phase.FAILED, detail=detail))
    assert journal.open_deployments() == (a_record(Phase.TRIAL),)
    (small_disk / "filler").unlink()
    journal.record(a_record(Phase.FAILED, detail=detail))
    assert journal.open_deployments() == ()
    journal.close()
