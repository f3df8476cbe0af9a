"""What sticks bring home from the floors: read, verified, the newest word of each device, and the
lines of history that came with it."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from p2pupd.core.gossip import merge, newer
from p2pupd.engine.fleet_report import fleet_picture
from p2pupd.errors import ProtocolError, RecordError, TrustError
from p2pupd.feeds.results import read_results
from p2pupd.model.clock import WallClock
from p2pupd.model.fleet import Seen, View
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.model.logbook import Logbook
from p2pupd.trust.envelope import unseal
from p2pupd.trust.logbook import MAX_BYTES as LOG_BYTES
from p2pupd.trust.logbook import verified as verified_log
from p2pupd.trust.records import MAX_BYTES, verified
from p2pupd.wire import results as wire

Books = dict[DeviceId, Logbook]


def results(path: Path, now: float) -> dict[str, Any]:
    """The floors whose results are on the stick at `path`, and `logs` of their devices, as JSON
    values, by realm.

    Every record, and every device's lines, counts for the device whose key signed it. What does not
    count is left out, and counted by its reason in `dropped`. Raises NothingToDo where there are
    none, UnsafeMedia, HostError; TrustError where nothing on it counts.
    """
    views: dict[Realm, View] = {}
    books: dict[Realm, Books] = {}
    dropped: Counter[str] = Counter()
    for realm, raw in read_results(path, wire.MAX_BYTES):
        try:
            found = wire.decode(raw)
        except ProtocolError:
            dropped["malformed"] += 1
            continue
        told = _view(found, realm, WallClock(now, trusted=True), dropped)
        views[realm] = merge(views.get(realm, View()), told)
        _add_logs(books.setdefault(realm, {}), found.logs, realm, dropped)
    floors = {realm: fleet_picture(view, (), now) for realm, view in views.items() if view.entries}
    if not floors:
        raise TrustError(f"nothing on {path} is signed as it must be: {dict(dropped)}")
    logs = {realm: _pictures(books[realm]) for realm in floors}
    return {"floors": floors, "logs": logs, "dropped": dict(dropped)}


def _view(found: wire.Results, realm: Realm, clock: WallClock, dropped: Counter[str]) -> View:
    entries: dict[DeviceId, Seen] = {}
    for item in found.items:
        try:
            record, stamp = verified(unseal(item.raw, MAX_BYTES), realm, clock)
        except RecordError as error:
            dropped[error.reason] += 1
            continue
        heard = min(clock.now, float(found.at - item.age))
        seen = Seen(record, stamp, item.raw, heard, heard)
        held = entries.get(record.device)
        entries[record.device] = seen if held is None else newer(held, seen)
    return View(entries)


def _add_logs(books: Books, found: Iterable[bytes], realm: Realm, dropped: Counter[str]) -> None:
    """The newest of each device, by its own clock."""
    for raw in found:
        try:
            book = verified_log(unseal(raw, LOG_BYTES), realm)
        except RecordError as error:
            dropped[error.reason] += 1
            continue
        held = books.get(book.device)
        if held is None or (held.at, len(held.lines)) < (book.at, len(book.lines)):
            books[book.device] = book


def _pictures(books: Books) -> dict[DeviceId, Any]:
    return {device: _picture(books[device]) for device in sorted(books)}


def _picture(book: Logbook) -> dict[str, Any]:
    lines = [{"at": e.at, "event": e.event, "fields": dict(e.fields)} for e in book.lines]
    return {"at": book.at, "lines": lines}
