"""The view of the floor, and who is told when it changes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from p2pupd.engine.fleet import Fleet
from p2pupd.engine.fleet_settings import FleetSettings
from p2pupd.errors import FetchError
from p2pupd.journal.settings import JournalSettings
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.clock import WallClock
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.fleet import StatusRecord
from p2pupd.model.setting import Seconds
from p2pupd.wire.records import LONGEST_BEAT, decode, encode
from p2pupd.wire.sync import Ask, Item
from tests.saying import NOW, REALM, a_status, device, signed
from tests.support import eventually, running

OTHER = device(2).id
LONG = 3 * 3600


class Floor:
    """Device 1 and its neighbour 2. `told` are the news, True for those of others."""

    def __init__(
        self, journal: SqliteJournal, settings: FleetSettings | None = None, ahead: float = 0.0
    ) -> None:
        self.now = float(NOW) + ahead
        self.set_by = 0.0
        self.told: list[bool] = []
        self.fleet = Fleet(
            settings or FleetSettings(),
            device(1),
            REALM,
            journal,
            clock=lambda: WallClock(self.now + self.set_by, trusted=True),
            passed=lambda: self.now,
            neighbours=self._neighbours,
            call=self._call,
        )
        self.fleet.load()

    async def hears(self, sequence: int, news: int, number: int = 2) -> None:
        """Device 2, or another, speaks, by way of some neighbour."""
        raw = signed(number, sequence=sequence, news=news)
        await self.fleet.sync.answer(Ask(REALM, "", bytes(8), (Item(raw, 0),)).encode())

    def silent(self) -> bool:
        return self.fleet.view.entries[OTHER].silent(self.fleet.now())

    async def content(self) -> StatusRecord:
        return a_status(1)

    def _neighbours(self) -> list[Neighbour]:
        return [Neighbour(OTHER, "127.0.0.1", 1, 1, REALM, "", Role.PEER, "test")]

    async def _call(self, _: Neighbour, __: bytes) -> bytes:
        raise FetchError("there is no network")


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    """It runs, and what was news at its start has been told."""
    async with _running(SqliteJournal(tmp_path / "journal.sqlite", JournalSettings())) as made:
        yield made


@asynccontextmanager
async def _running(journal: SqliteJournal) -> AsyncIterator[Floor]:
    made = Floor(journal)
    async with running(made.fleet.run(made.content, made.told.append)):
        await made.hears(1, 1)
        await eventually(lambda: True in made.told)
        made.told.clear()
        yield made


@pytest.mark.parametrize(
    "sign",
    [
        lambda fleet: fleet.met(OTHER),
        lambda fleet: fleet.answered(OTHER, bytes(8).hex()),
    ],
    ids=["met", "answered"],
)
async def test_a_silent_device_that_answers_again_is_news(
    floor: Floor, sign: Callable[[Fleet], None]
) -> None:
    floor.now += LONG
    assert floor.silent()
    sign(floor.fleet)
    assert not floor.silent()
    await eventually(lambda: floor.told == [True])


async def test_a_silent_device_of_which_others_hear_again_is_news(floor: Floor) -> None:
    floor.now += LONG
    await floor.hears(2, 1)
    assert not floor.silent()
    await eventually(lambda: floor.told == [True])


async def test_a_beat_is_never_rarer_than_a_record_can_say(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite", JournalSettings())
    floor = Floor(journal, FleetSettings(beat=Seconds(LONGEST_BEAT)))
    for number in range(2, 40):
        await floor.hears(1, 1, number)
    said = a_status(1, beat=int(floor.fleet.beat()))
    assert decode(encode(said), said.device) == said


@pytest.mark.parametrize("days", [-2, 20_000])
async def test_a_clock_that_is_set_neither_makes_anybody_silent_nor_hides_who_is(
    floor: Floor, days: int
) -> None:
    floor.fleet.answered(OTHER, bytes(8).hex())
    floor.set_by = days * 86400.0
    assert not floor.silent()
    floor.now += LONG
    assert floor.silent()


async def test_whoever_was_heard_in_the_future_before_a_start_falls_silent(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with _running(SqliteJournal(path, JournalSettings())) as before:
        before.fleet.answered(OTHER, bytes(8).hex())
    after = Floor(SqliteJournal(path, JournalSettings()), ahead=-86400.0)
    assert not after.silent()
    after.now += LONG
    assert after.silent()


async def test_whoever_lived_all_the_time_is_no_news(floor: Floor) -> None:
    floor.fleet.met(OTHER)
    floor.fleet.answered(OTHER, bytes(8).hex())
    await floor.hears(2, 1)
    await floor.hears(3, 3)
    await eventually(lambda: floor.told == [True])
