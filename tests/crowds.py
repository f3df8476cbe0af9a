"""A device that has heard of a crowd: a real daemon that finds signed records in its journal."""

import secrets
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pupd.demo.device import COMPONENT, HARDWARE, Device
from p2pupd.journal.interface import KeptRecord
from p2pupd.journal.settings import JournalSettings
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.deployment import Phase
from p2pupd.model.device import ByteCounts
from p2pupd.model.fleet import ComponentState, DeploymentState, Link, Update
from p2pupd.model.ids import ComponentId, Realm
from p2pupd.model.release import Release
from p2pupd.model.rollout import Rollout, Wave
from p2pupd.trust.settings import TrustSettings
from p2pupd.trust.verifier import Verifier
from scenarios.lib.fleet import Json, fleet, powered, until
from scenarios.lib.office import Office, today
from tests.saying import device, signed

OS = ComponentId(COMPONENT)
SIZE = 256 * 1024
WAVES = Rollout(waves=(Wave(250, 30), Wave(500, 60), Wave(1000)), max_failures=400)
SILENT_FOR = 5000.0
MIB = 1 << 20


@dataclass(frozen=True)
class Shown:
    """A device that shows the floor: where, and the token of its operators."""

    device: Device
    url: str
    token: str
    release: Release
    realm: Realm


def kept(number: int, heard: float, **said: Any) -> KeptRecord:
    """What device `number` said at `heard`, as a journal keeps it."""
    raw = signed(number, **said)
    return KeptRecord(device(number).id, raw, heard, heard, False, 0.0, 0.0)


def crowd(count: int, release: Release, realm: Realm) -> Iterable[KeptRecord]:
    """Devices in every state of a rollout, `release` being the newest one."""
    now = today()
    for number in range(1, count + 1):
        state = STATES[number % len(STATES)]
        silent = number % 29 == 0
        yield kept(
            number,
            now - SILENT_FOR if silent else now,
            **_common(number, realm, now),
            **state(release, now, number),
        )


def _common(number: int, realm: Realm, now: int) -> dict[str, Any]:
    return {
        "realm": realm,
        "at": now,
        "model": f"Gateway {1 + number % 3}",
        "groups": (f"hall-{1 + number % 4}",),
        "hardware_ids": (HARDWARE,),
        "links": (Link("eth0", f"10.0.{number // 250}.{1 + number % 250}"),),
        "counts": ByteCounts(lan=40 * MIB, usb=2 * MIB, reuse=11 * MIB, sent=38 * MIB),
        "store_free": 6 << 30,
    }


def _runs(number: int) -> tuple[ComponentState, ...]:
    return (ComponentState(OS, f"1.{number}", number),)


def _current(release: Release, now: int, number: int) -> dict[str, Any]:
    ended = Update(OS, release.version, release.release, Phase.CONFIRMED, now - number)
    holds = (release.artifact.sha256[:16],)
    return {"components": _runs(release.release), "history": (ended,), "holds": holds}


def _failed(release: Release, now: int, number: int) -> dict[str, Any]:
    why = ("unhealthy", "line: the line controller does not answer")
    ended = Update(OS, release.version, release.release, Phase.REVERTED, now - number, *why)
    return {"components": _runs(1), "history": (ended,)}


def _behind(release: Release, now: int, number: int) -> dict[str, Any]:
    return {"components": _runs(1)}


def _doing(phase: Phase, reason: str = "") -> Any:
    def state(release: Release, now: int, number: int) -> dict[str, Any]:
        moves = phase in (Phase.FETCHING, Phase.INSTALLING)
        length = release.artifact.length if moves else 0
        part = length * (1 + number % 4) // 5
        doing = DeploymentState(
            OS, release.version, release.release, phase, now - 9, part, length, reason
        )
        holds = () if phase is Phase.FETCHING else (release.artifact.sha256[:16],)
        return {"components": _runs(1), "deployment": doing, "holds": holds}

    return state


STATES = (
    _current,
    _doing(Phase.FETCHING),
    _current,
    _doing(Phase.WAITING, "wave"),
    _current,
    _doing(Phase.INSTALLING),
    _current,
    _doing(Phase.FETCHING),
    _current,
    _doing(Phase.TRIAL),
    _behind,
    _doing(Phase.WAITING, "wave"),
    _current,
    _failed,
)


def an_office(tmp_path: Path) -> Office:
    """The office whose releases `showing` shows."""
    return Office(tmp_path / "office", SIZE)


def realm_of(office: Office, tmp_path: Path) -> Realm:
    """Of what its devices say."""
    return Verifier(tmp_path / "trust", TrustSettings(root=office.anchor), 0).realm


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@asynccontextmanager
async def showing(
    tmp_path: Path,
    count: int = 0,
    *others: KeptRecord,
    settings: dict[str, Json] | None = None,
    office: Office | None = None,
) -> AsyncIterator[Shown]:
    """A seed with a stick that has release 2, and with `count` made-up devices in its view."""
    office = office or an_office(tmp_path)
    release = office.add(2, size=SIZE, component=COMPONENT, hardware_ids=(HARDWARE,), rollout=WAVES)
    realm = realm_of(office, tmp_path)
    token, port = secrets.token_hex(32), free_port()
    file = tmp_path / "control.token"
    file.touch(0o600)
    file.write_text(f"{token}\n")
    async with fleet(None, office.anchor) as floor:
        changed = settings or {}
        shows: dict[str, Json] = {
            "control": {"token_file": str(file)} | changed.get("control", {}),
            "dashboard": {"listen": f"127.0.0.1:{port}"} | changed.get("dashboard", {}),
        }
        made = floor.seed(settings=changed | shows)
        journal = SqliteJournal(made.directory / "journal.sqlite", JournalSettings())
        journal.keep_view([*crowd(count, release, realm), *others], [])
        journal.close()
        office.stick(tmp_path / "pocket").rename(floor.stick)
        async with powered([made]):
            await until(lambda: _listens(made, port), 30, "the dashboard answers")
            yield Shown(made, f"http://127.0.0.1:{port}", token, release, realm)


async def _listens(made: Device, port: int) -> bool:
    status = await made.status()
    if status is None or status["manifest"] is None:
        return False
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
