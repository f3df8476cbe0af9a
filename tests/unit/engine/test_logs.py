"""Lines of history for the stick: this device's, and those of neighbours, as they signed them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pupd.engine.logs import Logs
from p2pupd.errors import FetchError
from p2pupd.journal.interface import HistoryEntry
from p2pupd.journal.settings import JournalSettings
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.logbook import Logbook, LogLine
from p2pupd.trust.envelope import unseal
from p2pupd.trust.logbook import MAX_BYTES, verified
from tests.saying import NOW, REALM, device, log_of, signed

LINE = LogLine(NOW, "daemon.ready")


class Place:
    """Device 1, whose neighbours answer what `answers` says by their numbers."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.answers: dict[int, bytes] = {}
        self.near: list[int] = []
        self.logs = Logs(
            device(1), REALM, journal,
            now=lambda: float(NOW), neighbours=self._neighbours, ask=self._ask,
        )  # fmt: skip

    async def books(self) -> list[Logbook]:
        return [verified(unseal(raw, MAX_BYTES), REALM) for raw in await self.logs.gathered()]

    def _neighbours(self) -> list[Neighbour]:
        return [
            Neighbour(device(each).id, str(each), 1, 1, REALM, "", Role.PEER, "test")
            for each in self.near
        ]

    async def _ask(self, neighbour: Neighbour) -> bytes:
        if int(neighbour.host) not in self.answers:
            raise FetchError("the cable is cut")
        return self.answers[int(neighbour.host)]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    made = SqliteJournal(tmp_path / "journal.sqlite", JournalSettings())
    yield made
    made.close()


async def test_its_own_lines_are_signed_and_serve_for_a_while(journal: SqliteJournal) -> None:
    place = Place(journal)
    journal.note(HistoryEntry(NOW + 0.5, "order.taken", {"order": "hold", "detail": ""}))
    raw = await place.logs.own()
    journal.note(HistoryEntry(NOW + 1.0, "later", {}))
    assert await place.logs.own() == raw
    line = LogLine(NOW, "order.taken", (("order", "hold"),))
    assert verified(unseal(raw, MAX_BYTES), REALM) == Logbook(device(1).id, REALM, NOW, (line,))


async def test_those_of_neighbours_are_kept_when_they_are_gone(journal: SqliteJournal) -> None:
    place = Place(journal)
    place.near = [2, 3]
    place.answers = {2: log_of(2, NOW, LINE)}
    assert [each.device for each in await place.books()] == [device(1).id, device(2).id]
    place.near, place.answers = [3], {3: log_of(3, NOW)}
    assert {each.device for each in await place.books()} == {device(n).id for n in (1, 2, 3)}


async def test_a_neighbour_gives_its_own_lines_only(journal: SqliteJournal) -> None:
    place = Place(journal)
    place.near = [2, 3, 4]
    place.answers = {2: log_of(3, NOW, LINE), 3: signed(3), 4: b"garbage"}
    assert [each.device for each in await place.books()] == [device(1).id]


async def test_the_lines_of_so_many_devices_are_kept(journal: SqliteJournal) -> None:
    place = Place(journal)
    for number in range(2, 300):
        place.near, place.answers = [number], {number: log_of(number, NOW)}
        found = await place.logs.gathered()
    assert len(found) == 257
