"""Care for the line: what is told when, and what the operator's pause leaves behind."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.core.allowance import OUTSIDE_WINDOWS, PAUSED, Allowance
from p2pupd.core.windows import LocalTime
from p2pupd.engine.limit_settings import LimitSettings
from p2pupd.engine.line import Facts, LineCare
from p2pupd.engine.pausing import FILE, PauseFile
from p2pupd.errors import HostError, NothingToDo, SpaceError, UsageError
from p2pupd.host.files import write_durably
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.model.release import Release, Urgency
from p2pupd.model.setting import Bytes
from tests.builders import a_release
from tests.support import eventually, running

MIDNIGHT = 1_000_000 * 86400.0
NIGHT = LimitSettings(windows=("22:00-05:00",))


def local(now: float) -> LocalTime:
    """A place where every day is a Monday."""
    return LocalTime(0, int(now - MIDNIGHT) // 60 % 1440)


def at(hour: float) -> float:
    return MIDNIGHT + hour * 3600


class Place:
    """A device whose clock, neighbours and manifest the test sets; it notes what it is told."""

    def __init__(self, directory: Path, role: Role = Role.PEER) -> None:
        self.directory = directory
        self.role = role
        self.clock: Callable[[], float] = lambda: at(12)
        self.neighbours: list[Neighbour] = []
        self.releases: list[Release] = []
        self.told: list[Allowance] = []

    def now(self) -> float:
        return self.clock()

    def limit(self, allowance: Allowance) -> None:
        self.told.append(allowance)

    def care(self, settings: LimitSettings | None = None) -> LineCare:
        facts = Facts(self.role, self.now, lambda: self.neighbours, lambda: self.releases, local)
        return LineCare(settings or LimitSettings(), facts, PauseFile(self.directory), self)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def a_seed(name: str) -> Neighbour:
    return Neighbour(DeviceId(name), "127.0.0.1", 1, 2, Realm("r"), "", Role.SEED, "static")


async def test_limits_are_told_before_anything_moves(place: Place) -> None:
    await place.care(LimitSettings(upload=Bytes(10), download=Bytes(20), dscp=0)).start()
    assert place.told == [Allowance(True, 10, 20, 0)]


async def test_the_same_is_told_once(place: Place) -> None:
    care = place.care()
    await care.start()
    care.decide()
    assert len(place.told) == 1


async def test_new_settings_count_at_once(place: Place) -> None:
    care = place.care()
    await care.start()
    care.configure(LimitSettings(upload=Bytes(7)))
    assert place.told[-1].upload == 7


async def test_a_seed_gives_way_to_another_seed_that_appears(tmp_path: Path) -> None:
    place = Place(tmp_path, Role.SEED)
    care = place.care(LimitSettings(seed_cap=Bytes(1000)))
    async with running(care.run()):
        await eventually(lambda: place.told and place.told[-1].upload == 1000)
        place.neighbours.append(a_seed("another"))
        care.poke()
        await eventually(lambda: place.told[-1].upload == 500)


async def test_a_window_that_opens_lets_payload_move(place: Place) -> None:
    """The clock stands a moment before ten in the evening, and goes on from there."""
    start, began = at(22) - 0.3, time.monotonic()
    place.clock = lambda: start + time.monotonic() - began
    care = place.care(NIGHT)
    await care.start()
    assert (care.allowance.reason, care.allowance.until) == (OUTSIDE_WINDOWS, at(22))
    async with running(care.run()):
        await eventually(lambda: place.told[-1].moving)
    assert care.allowance.until == at(29)


async def test_an_emergency_in_the_manifest_moves_outside_of_windows(place: Place) -> None:
    alarm = replace(a_release(9), urgency=Urgency.EMERGENCY)
    care = place.care(NIGHT)
    await care.start()
    assert care.retry_after(alarm.artifact.sha256) == 3600
    place.releases.append(alarm)
    care.decide()
    assert care.retry_after(alarm.artifact.sha256) is None
    assert place.told[-1].moves(alarm.artifact.pieces_root)
    assert care.retry_after("0" * 64) == 3600


async def started(place: Place) -> LineCare:
    """The care of a daemon that has just started."""
    care = place.care()
    await care.start()
    return care


async def test_a_pause_outlives_the_daemon_and_so_does_its_end(place: Place) -> None:
    await (await started(place)).pause(None)
    assert place.told[-1].reason == PAUSED
    again = await started(place)
    assert place.told[-1].reason == PAUSED
    await again.resume()
    assert place.told[-1].moving
    assert (await started(place)).allowance.moving


async def test_a_pause_for_a_time_ends_then(place: Place) -> None:
    care = place.care()
    await care.start()
    await care.pause(90)
    assert care.picture()["until"] == at(12) + 90
    assert care.retry_after("0" * 64) == 91
    place.clock = lambda: at(12) + 90
    care.decide()
    assert care.allowance.moving
    with pytest.raises(NothingToDo):
        await care.resume()


async def test_there_is_nothing_to_resume_where_nothing_is_paused(place: Place) -> None:
    with pytest.raises(NothingToDo):
        await place.care().resume()


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e12])
async def test_a_pause_has_a_length_that_makes_sense(place: Place, seconds: float) -> None:
    with pytest.raises(UsageError):
        await place.care().pause(seconds)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"until": "soon"}', b"x" * 5000, b"[" * 4000])
async def test_a_pause_that_cannot_be_read_is_one_until_it_is_ended(
    place: Place, content: bytes
) -> None:
    write_durably(place.directory / FILE, content)
    care = place.care()
    await care.start()
    assert (care.allowance.reason, care.allowance.until) == (PAUSED, None)
    await care.resume()
    assert not (place.directory / FILE).exists()


async def test_a_pause_that_cannot_be_written_is_none(place: Place) -> None:
    care = LineCare(
        LimitSettings(),
        Facts(Role.PEER, lambda: at(12), list, list, local),
        PauseFile(place.directory / "missing"),
        place,
    )
    await care.start()
    with pytest.raises((HostError, SpaceError)):
        await care.pause(None)
    assert care.allowance.moving


async def test_a_pause_whose_file_cannot_be_removed_goes_on(place: Place) -> None:
    (place.directory / FILE).mkdir()
    care = place.care()
    await care.start()
    with pytest.raises(HostError):
        await care.resume()
    assert not care.allowance.moving


async def test_the_peer_api_and_the_swarm_share_the_limit(place: Place) -> None:
    care = place.care(LimitSettings(upload=Bytes(1000)))
    await care.start()
    with care.sending(), care.sending():
        assert place.told[-1].upload == 500
        assert care.picture()["upload"] == 1000
    assert place.told[-1].upload == 1000
    assert len(place.told) == 3


async def test_status_shows_what_holds_now(place: Place) -> None:
    care = place.care(LimitSettings(upload=Bytes(5), windows=NIGHT.windows))
    place.releases.append(replace(a_release(9), urgency=Urgency.EMERGENCY))
    artifact = replace(place.releases[0].artifact, sha256=a_release(8).artifact.sha256)
    place.releases[0] = replace(place.releases[0], artifact=artifact)
    await care.start()
    assert care.picture() == {
        "moving": False,
        "reason": OUTSIDE_WINDOWS,
        "until": at(22),
        "upload": 5,
        "download": 0,
        "dscp": 1,
        "exempt": 1,
    }
