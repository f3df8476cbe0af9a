"""Opening the journal's file: ours and sound, or set aside; never a device that does not start.

The file is in WAL mode with synchronous=FULL. A commit is one append to the log and one fsync of
it, which is the least that can be durable: the default rollback journal needs two to three fsyncs
and rewrites pages in place, twice the wear on flash. A torn append fails its checksum at the next
start and is as if it had never been; SQLite's WAL default, synchronous=NORMAL, would not fsync the
log at a commit and lose the latest records in a power cut. In WAL mode `status`, or any other
program, reads while the daemon writes, and neither waits.
"""

import logging
import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from p2pupd.errors import HostError, SpaceError
from p2pupd.host.files import make_directory, set_aside
from p2pupd.journal.schema import APPLICATION_ID, MIGRATIONS
from p2pupd.journal.settings import JournalSettings

log = logging.getLogger(__name__)

DAMAGED_CODES: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
SIDE_FILES: Final = ("-wal", "-shm", "-journal")
CHECKPOINT_PAGES: Final = 64
"""The log is copied into the database after this many pages of 4 KiB."""

_PRIMARY_CODE: Final = 0xFF


class DamagedError(Exception):
    """The file is, or was, a journal, and cannot be read; only inside this room."""


def connect(path: Path, settings: JournalSettings) -> tuple[sqlite3.Connection, Path | None]:
    """The open journal, and where a damaged one was moved to (None: it was sound, or new).

    Raises HostError when the file is somebody else's database or the disk fails, SpaceError.
    """
    make_directory(path.parent)
    try:
        return _open(path, settings), None
    except DamagedError as error:
        aside = _set_aside(path)
        log.critical(
            "journal.damaged path=%s moved_to=%s error=%s: what this device did before is "
            "forgotten; keep that file for an analysis",
            path,
            aside,
            error,
        )
    try:
        return _open(path, settings), aside
    except DamagedError as error:
        raise HostError(f"a new journal at {path} is damaged at once: {error}") from error


def translated(error: sqlite3.Error, doing: str) -> HostError | SpaceError:
    """The error of our tree for a failed statement while `doing` (a clause with the path)."""
    full = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE == sqlite3.SQLITE_FULL
    return (SpaceError if full else HostError)(f"cannot {doing}: {error}")


def _open(path: Path, settings: JournalSettings) -> sqlite3.Connection:
    connection = None
    try:
        connection = sqlite3.connect(
            path, timeout=settings.busy_timeout, isolation_level=None, check_same_thread=False
        )
        _claim(connection, path)
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        _migrate(connection)
        return connection
    except (sqlite3.Error, HostError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, HostError):
            raise
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE in DAMAGED_CODES:
            raise DamagedError(str(error)) from error
        raise translated(error, f"open the journal {path}") from error
    except DamagedError:
        assert connection is not None
        connection.close()
        raise


def _claim(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure it is ours before anything is written to it, and whole."""
    owner = _pragma(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if owner != APPLICATION_ID and (owner or tables):
        raise HostError(
            f"{path} is a database of another program; it was left alone. Move it away, or set "
            "another state directory"
        )
    verdict = _pragma(connection, "quick_check(1)")
    if verdict != "ok":
        raise DamagedError(str(verdict))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if owner != APPLICATION_ID:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to our version, one durable step at a time; a newer one is used as it is."""
    version = _pragma(connection, "user_version")
    if version > len(MIGRATIONS):
        log.warning("journal.newer version=%d ours=%d", version, len(MIGRATIONS))
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;{script};PRAGMA user_version={number};COMMIT;")
        log.info("journal.migrated version=%d", number)


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _set_aside(path: Path) -> Path:
    aside = set_aside(path, "damaged")
    for suffix in SIDE_FILES:
        side = path.with_name(path.name + suffix)
        if os.path.lexists(side):
            os.replace(side, aside.with_name(aside.name + suffix))
    return aside
