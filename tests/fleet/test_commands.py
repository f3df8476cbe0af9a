"""What an operator types on a device whose daemon runs."""

import asyncio
import json
import os
import pty
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from p2pupd.cli.app import run
from p2pupd.demo.device import Device
from scenarios.lib.fleet import Json, all_reach, fleet, knows, on, powered, until
from scenarios.lib.office import Office

SIZE = 256 * 1024
QUICK: dict[str, Json] = {"health": {"interval": 0.05, "successes": 1, "settle": 0.0}}
Typed = Callable[..., Any]


class Desk:
    """An operator at a device: types a command, reads what is said."""

    def __init__(self, device: Device, capsys: pytest.CaptureFixture[str]) -> None:
        self.device = device
        self._capsys = capsys

    async def types(self, *arguments: str, expect: int = 0) -> str:
        command = [*arguments, "--config", str(self.device.config_file)]
        assert await asyncio.to_thread(run, command) == expect
        said = self._capsys.readouterr()
        return said.out + said.err

    async def asks(self, *arguments: str) -> Any:
        return json.loads(await self.types(*arguments, "--json"))


@asynccontextmanager
async def desk(
    office: Office, capsys: pytest.CaptureFixture[str], **device: Any
) -> AsyncIterator[Desk]:
    settings = QUICK | {"device": device}
    async with fleet(None, office.anchor) as floor:
        made = floor.device("device", settings=settings)
        async with powered([made]):
            await until(made.status, 15, "daemon answers")
            yield Desk(made, capsys)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "office", SIZE)
    made.release(1)
    return made


async def test_a_new_device_has_nothing_to_show_or_to_give(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk(office, capsys) as here:
        status = await here.types("status")
        assert "none yet" in status
        assert await here.asks("peers") == []
        assert "asked every neighbour" in await here.types("check")
        assert "has not accepted any release" in await here.types(
            "export", str(tmp_path / "out"), expect=4
        )
        await here.types("rollback", expect=4)
        assert "holds no p2pupd repository" in await here.types("import", str(tmp_path), expect=15)


async def test_a_stick_is_imported_approved_installed_and_handed_on(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick, copy, other = (tmp_path / name for name in ("stick", "copy", "other"))
    office.stick(stick)
    copy.mkdir()
    other.mkdir()
    async with desk(office, capsys, consent=True) as here:
        said = await here.types("import", str(stick))
        assert "goes for demo-os 1.1 (release 1)" in said
        await all_reach([here.device], "waiting", within=20)
        assert "consent" in await here.types("status")
        assert "1" in await here.types("approve", "1")
        await all_reach([here.device], "confirmed", within=20)
        assert "demo-os 1.1 (release 1) in slot B" in await here.types("status")
        assert (await here.asks("export", str(copy)))["said"] == ["wrote demo-os 1.1 (release 1)"]
        assert "wrote demo-os 1.1 (release 1)" in await here.types("export", str(other))
        await here.types("export", str(other), expect=4)
        again = await here.types("import", str(copy), "--json", expect=4)
        assert json.loads(again)["reason"] == "up-to-date"
        await here.types("rollback", expect=120)
        await all_reach([here.device], "reverted", within=20)
        status = await here.types("status")
        assert "not again" in status
        assert "in slot A" in status
        await here.types("approve", "1", "--again")


async def test_a_device_stays_where_its_operator_went_back_to(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The releases between are there as well; each of them comes with consent only."""
    office.release(2)
    office.release(3)
    stick = office.stick(tmp_path / "stick")
    async with desk(office, capsys) as here:
        await here.types("import", str(stick))
        await all_reach([here.device], "confirmed", within=20)
        await here.types("rollback", expect=120)
        await all_reach([here.device], "reverted", within=20)
        assert "rolled-back" in await here.types("import", str(stick), expect=110)
        (gate,) = (await here.asks("why"))["gates"]
        assert gate["code"] == "rolled-back"
        assert "in slot A" in await here.types("status")
        await here.types("approve", "2")
        await all_reach([here.device], "confirmed", within=20)
        assert "demo-os 1.2 (release 2) in slot B" in await here.types("status")
        await here.types("rollback", expect=120)
        await all_reach([here.device], "reverted", within=20)
        assert "rolled-back" in await here.types("import", str(stick), expect=110)
        office.release(4)
        await here.types("import", str(office.stick(tmp_path / "newer")))
        await all_reach([here.device], "confirmed", within=20)
        assert "release 4" in await here.types("status")


async def test_neighbours_are_listed(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    async with fleet(None, office.anchor) as floor:
        here, there = floor.device("here"), floor.device("there")
        async with powered([here, there]):
            await knows(here, 1)
            desk = Desk(here, capsys)
            (neighbour,) = await desk.asks("peers")
            assert neighbour["host"] == there.address
            assert there.address in await desk.types("peers")


Shows = Callable[..., Awaitable[None]]


@asynccontextmanager
async def watched(device: Device) -> AsyncIterator[Shows]:
    """`status --watch` in a terminal, ended by Ctrl-C; waits until it shows a text so often."""
    screen, terminal = pty.openpty()
    command = [sys.executable, "-m", "p2pupd", "status", "--watch"]
    process = await asyncio.create_subprocess_exec(
        *command, "--config", str(device.config_file), stdout=terminal, stderr=PIPE
    )
    os.close(terminal)

    async def shows(text: bytes, times: int = 1) -> None:
        shown = b""
        while shown.count(text) < times:
            shown += await asyncio.to_thread(os.read, screen, 4096)

    try:
        yield shows
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
        os.close(screen)
    assert (process.returncode, errors.strip()) == (130, b"")


async def test_a_watched_picture_stays_until_ctrl_c(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk(office, capsys) as here, watched(here.device) as shows:
        await shows(b"manifest", times=2)


async def test_a_watched_picture_outlives_the_daemon(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says since when there is no answer, and is current again when the daemon is back."""
    async with desk(office, capsys) as here, watched(here.device) as shows:
        await shows(b"manifest")
        socket = here.device.directory / "control.sock"
        socket.rename(socket.with_name("elsewhere"))
        await shows(b"still asking")
        socket.with_name("elsewhere").rename(socket)
        here.device.control.post("/v1/pause", {})
        await shows(b"paused by the operator")


async def test_the_daemon_is_asked_although_its_configuration_has_a_mistake(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake that leaves open where it is ends every command but those that only read."""
    async with desk(office, capsys) as here:
        file = here.device.config_file
        good = file.read_text("utf-8")
        file.write_text(good + "[limits]\ndscp = 99\n")
        for command in ("status", "peers", "check"):
            said = await here.types(command)
            assert "warning: " in said
            assert "limits.dscp is not within 0 to 63" in said
        assert "none yet" in await here.types("status")
        assert "limits.dscp" in await here.types("reload", expect=3)
        file.write_text(good + "this is not TOML")
        assert "is not TOML" in await here.types("check", expect=3)
        assert "is not TOML" in await here.types("status", expect=3)
        place = ("--state-dir", str(here.device.directory))
        said = await here.types("status", *place)
        assert "is not TOML" in said
        assert "none yet" in said


async def test_a_pause_says_when_it_ends(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk(office, capsys) as here:
        assert "paused until " in await here.types("pause", "--for", "1h")
        assert "until" not in await here.types("pause")


async def test_a_device_that_installs_nothing_has_nothing_to_approve(office: Office) -> None:
    async with fleet(None, office.anchor) as floor:
        seed = floor.seed()
        async with powered([seed]):
            await until(seed.status, 15, "daemon answers")
            assert "installs nothing" in await on(seed, "approve", "1", expect=4)


async def test_without_room_on_the_stick_nothing_is_lost(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick = office.stick(tmp_path / "stick")
    async with desk(office, capsys) as here:
        await here.types("import", str(stick))
        shutil.rmtree(stick)
        await all_reach([here.device], "confirmed", within=20)
        assert "cannot" in await here.types("export", "/proc/p2pupd-stick", expect=1)
