"""Care for the line between real daemons: limits hold, payload stops and comes back, by command."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from p2pupd.api.control_client import RemoteError
from p2pupd.core.windows import DAYS
from p2pupd.demo.device import Device
from p2pupd.errors import UsageError
from scenarios.lib.fleet import (
    WAITS,
    Json,
    all_reach,
    bytes_of,
    events,
    fleet,
    knows,
    on,
    powered,
    steady,
    until,
)
from scenarios.lib.office import Office
from tests.serving import served

MIB = 1 << 20
SIZE = 16 * MIB
QUICK: dict[str, Json] = {"health": {"interval": 0.05, "successes": 1, "settle": 0.0}}


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "office", SIZE)
    made.release(1)
    return made


@asynccontextmanager
async def fetching(office: Office, tmp_path: Path) -> AsyncIterator[tuple[Device, Device, Device]]:
    """A seed that sends 1 MiB/s, a device that gets a release from it, and one that is off."""
    stick = {"directories": [str(office.stick(tmp_path / "stick"))], "poll": 0.2}
    async with fleet(None, office.anchor) as floor:
        seed = floor.device(
            "seed",
            role="seed",
            installs=False,
            settings={"limits": {"upload": MIB}, "media": stick},
        )
        device = floor.device("device", settings=QUICK)
        other = floor.device("other", settings=QUICK)
        async with powered([seed, device]):
            await knows(device, 1)
            await until(lambda: _more_than(device, MIB // 2), 30, "device fetches")
            yield seed, device, other


async def _lan(device: Device) -> int:
    status = await device.status() or {"transfers": []}
    return sum(int(each["bytes"]["lan"]) for each in status["transfers"])


async def _more_than(device: Device, count: int) -> int:
    now = await _lan(device)
    return now if now > count else 0


def _reconfigure(device: Device, **sections: Json) -> None:
    device.settings = {**device.settings, **sections}
    device.prepare()


async def test_a_rate_holds_until_a_reload_lifts_it(office: Office, tmp_path: Path) -> None:
    async with fetching(office, tmp_path) as (seed, device, _):
        first, began = await _lan(device), time.monotonic()
        last = await until(lambda: _more_than(device, first + 3 * MIB), 20, "three MiB more")
        assert 0.8 * MIB <= (last - first) / (time.monotonic() - began) <= 1.2 * MIB
        assert "upload at most 1.0 MiB/s" in await on(seed, "status")
        left, asked = SIZE - await _lan(device), time.time()
        _reconfigure(seed, limits={"upload": 0})
        assert "applied: limits.upload" in await on(seed, "reload")
        await all_reach([device], "confirmed", within=30)
        (done,) = [each for each in await events(device) if each["event"] == "transfer.complete"]
        assert left > 2 * MIB
        assert left / (float(done["at"]) - asked) > 1.2 * MIB


async def test_a_pause_outlives_a_power_cut_and_resume_finishes_the_fetch(
    office: Office, tmp_path: Path
) -> None:
    async with fetching(office, tmp_path) as (seed, device, _):
        assert "resume" in await on(device, "pause")
        await device.stop(signal.SIGKILL)
        await until(lambda: _limits(device, "reason", "paused"), 20, "is paused after a restart")
        await knows(device, 1)
        assert "paused by the operator" in await on(device, "status")
        assert "moves again" in await on(device, "resume")
        _reconfigure(seed, limits={"upload": 0})
        await on(seed, "reload")
        await all_reach([device], "confirmed", within=30)
        assert (await device.received())["lan"] <= SIZE


async def test_a_pause_stops_a_fetch_in_mid_transfer(office: Office, tmp_path: Path) -> None:
    """Another device gets everything meanwhile, so there was time and a line for it."""
    async with fetching(office, tmp_path) as (seed, device, other):
        await on(device, "pause", "--for", "1h")
        assert "paused by the operator until" in await on(device, "status")
        _reconfigure(seed, limits={"upload": 0})
        await on(seed, "reload")
        before = await _lan(device)
        async with powered([other]):
            await all_reach([other], "confirmed", within=30)
            assert MIB // 2 < before == await _lan(device) < SIZE
            await on(device, "resume")
            await all_reach([device], "confirmed", within=30)


async def test_a_window_that_closes_stops_a_fetch_and_one_that_opens_lets_it_go_on(
    office: Office, tmp_path: Path
) -> None:
    async with fetching(office, tmp_path) as (seed, device, _):
        _reconfigure(device, limits={"windows": [f"{_far_day()} 22:00-05:00"]})
        assert "applied: limits.windows" in await on(device, "reload")
        assert MIB // 2 < await steady(lambda: _lan(device), 1.5, within=10) < SIZE // 2
        boots = device.boots
        _reconfigure(seed, limits={"upload": 0})
        await on(seed, "reload")
        _reconfigure(device, limits={"windows": []})
        assert device.boots == boots
        await on(device, "reload")
        await all_reach([device], "confirmed", within=30)


def _far_day() -> str:
    """A day of the week that is neither today nor near."""
    return DAYS[(time.localtime().tm_wday + 3) % 7]


async def test_a_pause_stops_an_uplink_too_and_its_rate_changes_without_a_restart(
    office: Office,
) -> None:
    with served(office.directory) as server:
        uplink: Json = {"url": server.url, "interval": 1, "rate": "1M"}
        async with fleet(None, office.anchor) as floor:
            device = floor.device("device", settings=WAITS | {"uplink": uplink})

            async def brought() -> int:
                return int((await bytes_of(device))["uplink"])

            async def some() -> bool:
                return await brought() > MIB

            async with powered([device]):
                await until(some, 30, "the uplink brings something")
                await on(device, "pause")
                assert MIB < await steady(brought, 2.5, within=20) < SIZE // 2
                asked = [each for each in server.requests() if "/targets/" in each]
                _reconfigure(device, uplink=uplink | {"rate": 0})
                assert "applied: uplink.rate" in await on(device, "reload")
                await on(device, "resume")
                await all_reach([device], "waiting", within=15)
                assert device.boots == 1
                assert len(asked) < len([e for e in server.requests() if "/targets/" in e])


async def _limits(device: Device, key: str, value: object) -> bool:
    status = await device.status()
    return status is not None and status["limits"][key] == value


@asynccontextmanager
async def alone(office: Office) -> AsyncIterator[Device]:
    async with fleet(None, office.anchor) as floor:
        device = floor.device("device")
        async with powered([device]):
            await until(device.status, 15, "daemon answers")
            yield device


async def test_a_reload_tells_every_mistake_and_what_needs_a_restart(office: Office) -> None:
    async with alone(office) as device:
        assert "nothing has changed" in await on(device, "reload")
        good = device.config_file
        text = good.read_text("utf-8")
        good.write_text(text + '[limits]\nupload = 1\ndscp = 99\nwindows = ["soon"]\n')
        with pytest.raises(RemoteError, match="is not within 0 to 63") as caught:
            await asyncio.to_thread(device.control.post, "/v1/reload")
        assert "limits.windows is no window of time" in str(caught.value)
        assert caught.value.code == 3
        assert await _limits(device, "upload", 0)
        good.write_text(text.replace("deadline = 5", "deadline = 6") + "[limits]\nupload = 7\n")
        said = await on(device, "reload")
        assert "applied: limits.upload\nneeds a restart: health.deadline" in said


async def test_a_hangup_reloads(office: Office) -> None:
    async with alone(office) as device:
        assert device.process is not None
        _reconfigure(device, limits={"windows": [f"{_far_day()} 22:00-05:00"]})
        os.kill(device.process.pid, signal.SIGHUP)
        await until(lambda: _limits(device, "reason", "outside-windows"), 10, "windows count")
        assert "outside of transfer windows until" in await on(device, "status")
        await on(device, "pause", "--for", "1h")
        assert "payload waits: outside-windows" in await on(device, "resume")


async def test_what_cannot_be_paused_or_resumed_is_told(office: Office) -> None:
    async with alone(office) as device:
        assert "nothing is paused" in await on(device, "resume", expect=4)
        assert "must be a duration" in await on(device, "pause", "--for", "soon", expect=2)
        assert "longer than nothing" in await on(device, "pause", "--for", "0", expect=2)
        for value in ("soon", True, [1]):
            with pytest.raises(RemoteError, match="number of seconds") as caught:
                await asyncio.to_thread(device.control.post, "/v1/pause", {"seconds": value})
            assert caught.value.code == UsageError.code
