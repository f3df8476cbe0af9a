"""The journal in one SQLite file (database.py: how it is made durable)."""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

from p2pupd.journal.codec import release_from_json, release_to_json
from p2pupd.journal.database import connect, translated
from p2pupd.journal.interface import HistoryEntry, KeptRecord, Outcome
from p2pupd.journal.settings import JournalSettings
from p2pupd.model.deployment import Deployment, Phase
from p2pupd.model.device import Installed
from p2pupd.model.ids import ComponentId, DeploymentId, DeviceId, ManifestDigest
from p2pupd.model.release import Release

log = logging.getLogger(__name__)

COLUMNS: Final = (
    "id, phase, source, manifest, started, changed, release, attempt, slot, previous_slot, "
    "healthy, reason, detail, code"
)
RECORD_COLUMNS: Final = "device, raw, heard, first, direct, alive, lost"
PHASE_CHANGED: Final = "phase.changed"
DAMAGED: Final = "journal.damaged"
_PHASES: Final = frozenset(str(each) for each in Phase)


class SqliteJournal:
    """A Journal. Safe to call from several threads; statements run one at a time.

    Every method raises HostError, or SpaceError when the disk is full; then nothing has changed.
    `set_aside` is where a damaged predecessor was moved to at the start, or None.
    """

    def __init__(
        self, path: Path, settings: JournalSettings, now: Callable[[], float] = time.time
    ) -> None:
        """Open or make the file. `now` gives Unix seconds."""
        self._path = path
        self._settings = settings
        self._lock = threading.Lock()
        self._connection, self.set_aside = connect(path, settings)
        if self.set_aside is not None:
            self.note(HistoryEntry(now(), DAMAGED, {"moved_to": str(self.set_aside)}))

    def record(self, deployment: Deployment) -> None:
        """See Journal."""
        with self._write("journal a deployment") as connection:
            before = connection.execute(
                "SELECT phase FROM deployment WHERE id = ?", (int(deployment.id),)
            ).fetchone()
            connection.execute(
                f"INSERT INTO deployment (ended, {COLUMNS}) VALUES (:ended, :id, :phase, :source,"  # noqa: S608
                " :manifest, :started, :changed, :release, :attempt, :slot, :previous_slot,"
                " :healthy, :reason, :detail, :code) ON CONFLICT (id) DO UPDATE SET"
                " ended = :ended, phase = :phase, source = :source, manifest = :manifest,"
                " started = :started, changed = :changed, release = :release, attempt = :attempt,"
                " slot = :slot, previous_slot = :previous_slot, healthy = :healthy,"
                " reason = :reason, detail = :detail, code = :code",
                _row_of(deployment),
            )
            if before is None or before[0] != deployment.phase:
                self._append(connection, _phase_change(deployment, before[0] if before else ""))
                self._forget_ended(connection)

    def open_deployments(self) -> tuple[Deployment, ...]:
        """See Journal."""
        return self._deployments("WHERE ended = 0 ORDER BY id", ())

    def deployments(self, limit: int) -> tuple[Deployment, ...]:
        """See Journal."""
        return self._deployments("ORDER BY id DESC LIMIT ?", (limit,))

    def outcomes(self) -> dict[Phase, Outcome]:
        """See Journal. The triggers of schema.py count."""
        rows = self._read("SELECT phase, number, last FROM outcome", ())
        return {
            Phase(phase): Outcome(number, last) for phase, number, last in rows if phase in _PHASES
        }

    def next_deployment_id(self) -> DeploymentId:
        """See Journal."""
        with self._write("number a deployment") as connection:
            row = connection.execute(
                "UPDATE counter SET value = value + 1 WHERE name = 'deployment' RETURNING value"
            ).fetchone()
            return DeploymentId(str(row[0]))

    def set_slot(self, slot: str, installed: Installed | None) -> None:
        """See Journal."""
        holds: tuple[str | int | None, ...] = (None,) * 5
        if installed is not None:
            holds = (
                installed.component,
                installed.version,
                installed.release,
                installed.image_sha256,
                installed.security_floor,
            )
        with self._write("journal a slot") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO slot"
                " (name, component, version, release, image_sha256, security_floor)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (slot, *holds),
            )

    def slots(self) -> dict[str, Installed | None]:
        """See Journal."""
        rows = self._read(
            "SELECT name, component, version, release, image_sha256, security_floor FROM slot"
            " ORDER BY name",
            (),
        )
        return {
            name: None
            if component is None
            else Installed(ComponentId(component), version, release, image, floor)
            for name, component, version, release, image, floor in rows
        }

    def mark_bad(self, component: str, release: int, reason: str, at: float) -> None:
        """See Journal."""
        with self._write("mark a release as bad") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO bad_release (component, release, reason, at)"
                " VALUES (?, ?, ?, ?)",
                (component, release, reason, at),
            )

    def clear_bad(self, component: str, release: int) -> None:
        """See Journal."""
        with self._write("allow a release again") as connection:
            connection.execute(
                "DELETE FROM bad_release WHERE component = ? AND release = ?", (component, release)
            )

    def bad_releases(self) -> dict[tuple[str, int], str]:
        """See Journal."""
        rows = self._read("SELECT component, release, reason FROM bad_release", ())
        return {(component, release): reason for component, release, reason in rows}

    def note(self, entry: HistoryEntry) -> None:
        """See Journal."""
        with self._write("append to the history") as connection:
            self._append(connection, entry)

    def history(self, limit: int) -> Sequence[HistoryEntry]:
        """See Journal."""
        rows = self._read(
            "SELECT at, event, fields FROM history ORDER BY id DESC LIMIT ?", (limit,)
        )
        return [HistoryEntry(at, event, json.loads(text)) for at, event, text in reversed(rows)]

    def keep_view(self, changed: Sequence[KeptRecord], dropped: Sequence[DeviceId]) -> None:
        """See Journal."""
        with self._write("keep the view of the floor") as connection:
            connection.executemany(
                "DELETE FROM fleet_record WHERE device = ?", [(each,) for each in dropped]
            )
            connection.executemany(
                f"INSERT OR REPLACE INTO fleet_record ({RECORD_COLUMNS})"  # noqa: S608
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [astuple(each) for each in changed],
            )

    def view(self) -> Sequence[KeptRecord]:
        """See Journal."""
        rows = self._read(f"SELECT {RECORD_COLUMNS} FROM fleet_record", ())  # noqa: S608
        return [
            KeptRecord(DeviceId(device), raw, heard, first, bool(direct), alive, lost)
            for device, raw, heard, first, direct, alive, lost in rows
        ]

    def number_own_records(self, epoch: int, sequence: int) -> None:
        """See Journal."""
        with self._write("number a status record") as connection:
            connection.executemany(
                "UPDATE counter SET value = ? WHERE name = ?",
                [(epoch, "fleet-epoch"), (sequence, "fleet-sequence")],
            )

    def own_records_numbered(self) -> tuple[int, int]:
        """See Journal."""
        found = dict(self._read("SELECT name, value FROM counter", ()))
        return found["fleet-epoch"], found["fleet-sequence"]

    def keep_order(self, key: str, raw: bytes, heard: float) -> None:
        """See Journal."""
        with self._write("keep an order") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO site_order (shelf_key, raw, heard) VALUES (?, ?, ?)",
                (key, raw, heard),
            )

    def orders(self) -> Sequence[tuple[str, bytes, float]]:
        """See Journal."""
        return self._read("SELECT shelf_key, raw, heard FROM site_order ORDER BY shelf_key", ())

    def close(self) -> None:
        """See Journal. Twice is fine."""
        with self._lock:
            self._connection.close()

    # -- statements ------------------------------------------------------------------------------

    @contextmanager
    def _write(self, doing: str) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is on the disk afterwards, or nothing."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                finally:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise translated(error, f"{doing} in {self._path}") from error

    def _read(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise translated(error, f"read the journal {self._path}") from error

    def _deployments(self, which: str, values: tuple[Any, ...]) -> tuple[Deployment, ...]:
        rows = self._read(f"SELECT {COLUMNS} FROM deployment {which}", values)  # noqa: S608
        return tuple(each for row in rows if (each := _deployment_of(row)) is not None)

    def _append(self, connection: sqlite3.Connection, entry: HistoryEntry) -> None:
        last = connection.execute(
            "INSERT INTO history (at, event, fields) VALUES (?, ?, ?)",
            (entry.at, entry.event, json.dumps(entry.fields)),
        ).lastrowid
        connection.execute(
            "DELETE FROM history WHERE id <= ?", ((last or 0) - self._settings.history_entries,)
        )

    def _forget_ended(self, connection: sqlite3.Connection) -> None:
        """What brought about what runs now is kept, however much has come to nothing since."""
        connection.execute(
            "DELETE FROM deployment WHERE ended = 1 AND id <= (SELECT id FROM deployment"
            " WHERE ended = 1 ORDER BY id DESC LIMIT 1 OFFSET ?) AND id != ifnull((SELECT max(id)"
            " FROM deployment WHERE phase IN (?, ?)), 0)",
            (self._settings.ended_deployments, Phase.CONFIRMED, Phase.REVERTED),
        )


def _phase_change(deployment: Deployment, before: str) -> HistoryEntry:
    fields = {
        "deployment": str(deployment.id),
        "from": before,
        "to": str(deployment.phase),
        "release": deployment.release.label if deployment.release else "",
        "reason": deployment.reason,
    }
    return HistoryEntry(deployment.changed, PHASE_CHANGED, fields)


def _row_of(deployment: Deployment) -> dict[str, Any]:
    row = {
        "id": int(deployment.id),
        "phase": str(deployment.phase),
        "ended": deployment.phase.ended,
        "source": deployment.source,
        "manifest": deployment.manifest,
        "started": deployment.started,
        "changed": deployment.changed,
        "release": release_to_json(deployment.release) if deployment.release else None,
        "attempt": deployment.attempt,
        "slot": deployment.slot,
        "previous_slot": deployment.previous_slot,
        "healthy": deployment.healthy,
        "reason": deployment.reason,
        "detail": deployment.detail,
        "code": deployment.code,
    }
    return {name: _storable(value) for name, value in row.items()}


def _storable(value: Any) -> Any:
    """Paths of sticks may hold bytes that are no UTF-8; SQLite's text must."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def _deployment_of(row: tuple[Any, ...]) -> Deployment | None:
    """None, loudly, for a phase that only a newer p2pupd knows."""
    number, phase, source, manifest, started, changed, release, attempt, *rest = row
    slot, previous_slot, healthy, reason, detail, code = rest
    if phase not in _PHASES:
        log.error("journal.unknown-phase deployment=%s phase=%s", number, phase)
        return None
    return Deployment(
        id=DeploymentId(str(number)),
        phase=Phase(phase),
        source=source,
        manifest=ManifestDigest(manifest),
        started=started,
        changed=changed,
        release=_release_of(release, number),
        attempt=attempt,
        slot=slot,
        previous_slot=previous_slot,
        healthy=bool(healthy),
        reason=reason,
        detail=detail,
        code=code,
    )


def _release_of(text: str | None, number: int) -> Release | None:
    """None, loudly, where only a newer p2pupd could read it: the record ends as failed then."""
    if text is None:
        return None
    try:
        return release_from_json(text)
    except ValueError as error:
        log.error("journal.unreadable-release deployment=%s error=%s", number, error)
        return None
