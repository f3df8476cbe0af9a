"""A device with an uplink among others: what it learns, and what its neighbours know of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from p2pupd.cli.app import run
from p2pupd.demo.device import Device
from scenarios.lib.fleet import fleet, knows, powered, until
from scenarios.lib.office import Office
from tests.serving import Served, served

MIB = 1 << 20


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "office", 256 * 1024)
    made.release(1)
    return made


@asynccontextmanager
async def two(office: Office, **uplink: Any) -> AsyncIterator[tuple[Device, Device, Served]]:
    """(a device with an uplink, its neighbour, the server far away)."""
    with served(office.directory) as server:
        waits: dict[str, Any] = {"device": {"consent": True}}
        said = waits | {"uplink": {"url": server.url, "interval": 1} | uplink}
        async with fleet(None, office.anchor) as floor:
            here = floor.device("here", settings=said)
            there = floor.device("there", settings=waits)
            async with powered([here, there]):
                await knows(there, 1)
                yield here, there, server


async def uplink_of(device: Device) -> bool:
    (neighbour,) = await device.ask("/v1/peers")
    return bool(neighbour["uplink"])


async def types(device: Device, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    command = [*arguments, "--config", str(device.config_file)]
    assert await asyncio.to_thread(run, command) == 0
    return capsys.readouterr().out


async def test_neighbours_know_who_has_an_uplink_and_when_it_is_lost(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    async with two(office) as (here, there, server):

        async def accepted() -> bool:
            status = await here.status()
            return bool(status and status["manifest"])

        await until(accepted, 20, "the manifest came over the uplink")
        await until(lambda: uplink_of(there), 20, "the neighbour knows")
        shown = await types(here, capsys, "status")
        assert server.url in shown
        assert " in 20" in shown
        peers = json.loads(await types(there, capsys, "peers", "--json"))
        assert [each["uplink"] for each in peers] == [True]
        assert "yes" in await types(there, capsys, "peers")
        before = len(server.requests())
        await types(here, capsys, "check")

        async def asked() -> bool:
            return len(server.requests()) > before

        await until(asked, 10, "check asks the uplink")

        async def complete() -> bool:
            status = await there.status()
            return bool(status and [each for each in status["stored"] if each["verified"]])

        await until(complete, 20, "what came over the uplink reached the neighbour")
        server.stop()

        async def lost() -> bool:
            return not await uplink_of(there)

        await until(lost, 20, "the neighbour knows that it is lost")
        assert "does not answer" in await types(here, capsys, "status")


async def test_status_tells_of_the_limits(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    async with two(office, monthly=1, rate="1M") as (here, there, _):

        async def used_up() -> bool:
            status = await here.status()
            return status is not None and "used up" in status["uplink"]["error"]

        await until(used_up, 20, "the month is used up")
        shown = await types(here, capsys, "status")
        assert "of 1 B, at most 1.0 MiB/s" in shown
        assert not await uplink_of(there)
        status = await there.status()
        assert status is not None
        assert status["uplink"] is None


async def test_status_tells_the_rate_of_an_uplink_that_works_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = Office(tmp_path / "slow", 6 * MIB)
    slow.release(1)
    async with two(slow, rate="1M") as (here, _, server):

        async def halfway() -> bool:
            status = await here.status()
            (transfer,) = (status or {})["transfers"] or [{"done": 0}]
            return int(transfer["done"]) > 3 * MIB

        await until(halfway, 20, "a half came over the uplink")
        status = await here.status()
        assert status is not None
        (transfer,) = status["transfers"]
        assert transfer["source"] == f"uplink:{server.url}"
        assert 0.5 * MIB <= transfer["rate"] <= 1.5 * MIB
        shown = await types(here, capsys, "status")
        assert f"reads uplink:{server.url}" in shown
        assert "0 B/s" not in shown
