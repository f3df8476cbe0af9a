"""A damaged stick, then a good one: the release is installed, and every byte is the sticks'."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from p2pupd.cli.app import run
from p2pupd.demo.device import Device
from scenarios.lib.accounts import came, scraped, told
from scenarios.lib.fleet import Json, all_reach, fleet, on, powered, until
from scenarios.lib.office import Office

MIB = 1 << 20
SIZE = 24 * MIB
DAMAGED_AT = 19 * MIB
QUICK: dict[str, Json] = {
    "health": {"interval": 0.05, "successes": 1, "settle": 0.0},
    "discovery": {"mdns": False},
}


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "office", SIZE)
    made.release(1)
    return made


def stick(office: Office, path: Path, *, layer: bool, good: bool) -> str:
    office.stick(path)
    (image,) = (path / "p2pupd").glob("targets/*/*/*.img")
    if not layer:
        image.with_name(image.name + ".layer").unlink()
    if not good:
        with image.open("r+b") as file:
            file.seek(DAMAGED_AT)
            file.write(b"a worn out cell")
    return str(path)


@asynccontextmanager
async def alone(office: Office, **settings: Json) -> AsyncIterator[Device]:
    """A device without neighbours; its metrics are asked over its control socket."""
    async with fleet(None, office.anchor) as floor:
        device = floor.device("device", settings=QUICK | settings)
        async with powered([device]):
            await until(device.status, 15, "daemon answers")
            yield device


async def is_whole(device: Device) -> None:
    """Installed, and wherever it is counted all of it came from sticks."""
    await all_reach([device], "confirmed", within=20)

    async def counted() -> bool:
        return came(await scraped(device, "socket")) == {"usb": SIZE}

    await until(counted, 5, "metrics")
    assert await told(device) == {"usb": SIZE}
    status = await device.status()
    assert status is not None
    assert "wrong-content" not in await on(device, "status")
    assert status["sources"] == {}


@pytest.mark.parametrize("backend", ["libtorrent", "http"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
async def test_a_good_stick_is_taken_at_once_after_a_damaged_one(
    office: Office, tmp_path: Path, first: bool, second: bool, backend: str
) -> None:
    """With piece layers and without."""
    async with alone(office, swarm={"backend": backend}) as device:
        bad = stick(office, tmp_path / "bad", layer=first, good=False)
        assert "wrong-content" in await on(device, "import", bad, expect=14)
        status = await device.status()
        assert status is not None
        assert status["sources"] == {}
        assert [each["reason"] for each in status["transfers"]] == ["wrong-content"]
        good = stick(office, tmp_path / "good", layer=second, good=True)
        assert "carries" in await asyncio.wait_for(on(device, "import", good), 10)
        await is_whole(device)
        assert (await device.received()) == {"lan": 0, "usb": SIZE}


@pytest.mark.parametrize("backend", ["libtorrent", "http"])
@pytest.mark.parametrize("second", [True, False])
async def test_what_a_damaged_stick_brought_stays_its_own_after_a_power_cut(
    office: Office, tmp_path: Path, second: bool, backend: str
) -> None:
    async with alone(office, swarm={"backend": backend}) as device:
        bad = stick(office, tmp_path / "bad", layer=True, good=False)
        await on(device, "import", bad, expect=14)
        boots = device.boots
        await device.stop(signal.SIGKILL)

        async def back() -> bool:
            return device.boots > boots and await device.status() is not None

        await until(back, 20, "it is back")
        good = stick(office, tmp_path / "good", layer=second, good=True)
        await on(device, "import", good)
        await is_whole(device)


@pytest.mark.parametrize("backend", ["libtorrent", "http"])
@pytest.mark.parametrize("layer", [True, False])
async def test_a_power_cut_in_the_middle_of_a_stick_changes_no_account(
    office: Office, tmp_path: Path, layer: bool, backend: str
) -> None:
    consent: Json = {"consent": True}
    async with alone(office, swarm={"backend": backend}, device=consent) as device:
        good = stick(office, tmp_path / "good", layer=layer, good=True)
        boots = device.boots
        payload = device.directory / "store"

        async def half() -> bool:
            sizes = (each.stat().st_blocks * 512 for each in payload.glob("*/*"))
            return max(sizes, default=0) > SIZE // 4

        async with asyncio.TaskGroup() as group:
            command = ["import", good, "--config", str(device.config_file)]
            group.create_task(asyncio.to_thread(run, command))
            await until(half, 20, "a part of it is there")
            await device.stop(signal.SIGKILL)

        async def back() -> bool:
            return device.boots > boots and await device.status() is not None

        await until(back, 20, "it is back")
        await asyncio.to_thread(run, command)
        await on(device, "approve", "1")
        await is_whole(device)
