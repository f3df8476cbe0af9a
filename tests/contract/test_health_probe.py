"""Every kind of health probe answers in the same way."""

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from p2pupd.health.exec import ExecProbe
from p2pupd.health.http import HttpProbe
from p2pupd.health.interface import HealthProbe
from p2pupd.health.settings import ExecProbeSettings, HttpProbeSettings, UnitProbeSettings
from p2pupd.health.systemd import UnitProbe

SYSTEMCTL = """#!/bin/sh
case "$4" in
  good) state=active ;;
  hanging) sleep 60 ;;
  *) state=failed ;;
esac
echo "LoadState=loaded"
echo "ActiveState=$state"
echo "SubState=running"
echo "ActiveEnterTimestampMonotonic=0"
"""

MakeProbe = Callable[[str], HealthProbe]
"""Makes a probe of a thing that is `good`, `bad`, or `hanging`."""


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await reader.readuntil(b"\r\n\r\n")
    if b"/hanging" in request:
        await reader.read()
    else:
        writer.write(
            b"HTTP/1.0 200 OK\r\n\r\n" if b"/good" in request else b"HTTP/1.0 500 X\r\n\r\n"
        )
    writer.close()


@pytest.fixture(params=["exec", "http", "unit"])
async def make_probe(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MakeProbe]:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    commands = {"good": "true", "bad": "echo broken >&2; exit 3", "hanging": "sleep 60 & wait"}
    async with await asyncio.start_server(_serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        kinds: dict[str, MakeProbe] = {
            "exec": lambda state: ExecProbe(
                ExecProbeSettings(state, ("sh", "-c", commands[state]))
            ),
            "http": lambda state: HttpProbe(
                HttpProbeSettings(state, f"http://127.0.0.1:{port}/{state}")
            ),
            "unit": lambda state: UnitProbe(
                UnitProbeSettings(state), systemctl=str(systemctl), runtime=tmp_path
            ),
        }
        yield kinds[request.param]


async def test_probe_has_the_name_of_its_configuration(make_probe: MakeProbe) -> None:
    assert make_probe("good").name == "good"


async def test_healthy_thing_passes_each_time_it_is_asked(make_probe: MakeProbe) -> None:
    probe = make_probe("good")
    assert (await probe.run(10)).ok
    assert (await probe.run(10)).ok


async def test_unhealthy_thing_fails_with_a_detail(make_probe: MakeProbe) -> None:
    result = await make_probe("bad").run(10)
    assert not result.ok
    assert result.detail


async def test_late_answer_counts_as_failed(make_probe: MakeProbe) -> None:
    started = time.monotonic()
    result = await make_probe("hanging").run(0.1)
    assert not result.ok
    assert "0.1 s" in result.detail
    assert time.monotonic() - started < 10


async def test_asking_can_be_cancelled(make_probe: MakeProbe) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await make_probe("hanging").run(60)


async def test_program_that_is_missing_is_a_failed_probe() -> None:
    result = await ExecProbe(ExecProbeSettings("gone", ("/nowhere/program",))).run(5)
    assert not result.ok
    assert "cannot start `/nowhere/program`" in result.detail


async def test_failed_program_is_shown_as_a_line_that_can_be_pasted() -> None:
    command = ("sh", "-c", "echo two words >&2; exit 3")
    result = await ExecProbe(ExecProbeSettings("test", command)).run(5)
    assert result.detail == f"`{shlex.join(command)}` ended with 3: two words (expected 0)"


async def test_expected_exit_code_may_be_another() -> None:
    settings = ExecProbeSettings("test", ("sh", "-c", "exit 3"), exit_code=3)
    assert (await ExecProbe(settings).run(5)).ok
