"""Updates carried as packs, by whole daemons: what is here is not fetched, and it is accounted."""

import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from p2pupd.demo.device import Device
from scenarios.lib.accounts import came, scraped
from scenarios.lib.fleet import Fleet, Publisher, all_reach, bytes_of, fleet, knows, powered, until
from tests.packing import noise, prose

MIB = 1 << 20
FIRST = noise(2 * MIB) + prose(4 * MIB) + bytes(MIB)
SECOND = noise(700, seed=7) + FIRST[: 5 * MIB] + noise(MIB // 2, seed=8) + FIRST[5 * MIB :]
THIRD = SECOND[: 3 * MIB] + noise(MIB // 2, seed=9) + SECOND[3 * MIB :]


@pytest.fixture
async def publisher(tmp_path: Path) -> Publisher:
    return await Publisher(tmp_path / "office").init()


@pytest.fixture
async def floor(publisher: Publisher) -> AsyncIterator[Fleet]:
    async with fleet(None, publisher.anchor) as made:
        yield made


async def released(floor: Fleet, publisher: Publisher, image: bytes, seed: Device) -> None:
    """The release is signed, and a stick with all of them is in the seed."""
    await publisher.release(len(image), packed=True, content=image)
    number = len(publisher.images)
    if floor.stick.exists():
        shutil.rmtree(floor.stick)
    await publisher.stick(floor.stick)

    async def there() -> bool:
        status = await seed.status() or {"stored": []}
        return any(
            each["verified"] and each["release"] and each["release"]["release"] == number
            for each in status["stored"]
        )

    await until(there, 20, f"the seed has release {number}")


async def installs(device: Device, number: int) -> None:
    async def confirmed() -> bool:
        status = await device.status()
        now = status and status["deployment"]
        return bool(
            now
            and now["phase"] == "confirmed"
            and now["release"]["release"] == number
            and status
            and status["installed"]["release"] == number
        )

    await until(confirmed, 40, f"release {number} is confirmed")


async def reuse_of(device: Device) -> Any:
    """What the device told of the transfer before it restarted into what it brought."""
    for line in reversed(await device.ask("/v1/history?limit=1000")):
        if line["event"] == "transfer.complete":
            return {each: int(line[each]) for each in ("lan", "usb", "uplink", "reuse")}
    return None


@pytest.mark.parametrize("backend", ["auto", "http"])
async def test_each_update_is_made_of_the_one_before(
    floor: Fleet, publisher: Publisher, backend: str
) -> None:
    seed = floor.seed()
    device = floor.device("device", settings={"swarm": {"backend": backend}})
    async with powered([seed, device]):
        await knows(device, 1)
        for number, image in enumerate((FIRST, SECOND, THIRD), start=1):
            await released(floor, publisher, image, seed)
            await installs(device, number)
            slot = device.directory / ("slot_b" if number % 2 else "slot_a")
            assert slot.read_bytes() == image
            moved = await reuse_of(device)
            status = await device.status()
            assert status is not None
            stored = {each["release"]["release"]: each for each in status["stored"]}
            assert sum(moved.values()) == stored[number]["length"]
            if number > 1:
                assert moved["reuse"] > 0.6 * stored[number]["length"]
                assert number - 1 in stored
        figures = came(await scraped(device, "socket"))
        assert status is not None
        assert sum(figures.values()) == sum(each["length"] for each in status["stored"])


async def test_a_device_without_packs_makes_them_of_its_slot(
    floor: Fleet, publisher: Publisher
) -> None:
    """It left the factory with an image, and with an empty store."""
    seed, device = floor.seed(), floor.device("device")
    (device.directory / "slot_a").write_bytes(FIRST)
    async with powered([seed]):
        await released(floor, publisher, SECOND, seed)
        async with powered([device]):
            await installs(device, 1)
            assert (device.directory / "slot_b").read_bytes() == SECOND
            moved = await reuse_of(device)
            assert moved["reuse"] > 0.6 * sum(moved.values())


async def test_status_and_metrics_tell_what_was_expected_and_what_came(
    floor: Fleet, publisher: Publisher
) -> None:
    """A file that the configuration names; the device waits, so its counters are not lost."""
    named = floor.directory / "old.img"
    named.write_bytes(FIRST)
    seed = floor.seed()
    settings = {"delta": {"sources": [str(named)]}, "device": {"consent": True}}
    device = floor.device("device", settings=settings)
    async with powered([seed, device]):
        await knows(device, 1)
        await released(floor, publisher, SECOND, seed)
        await all_reach([device], "waiting", within=30)
        status = await device.status()
        assert status is not None
        told = status["transfers"][-1]["reuse"]
        assert told["stage"] == "over"
        assert told["real"] == told["expected"]
        assert told["real"]["slot"] == (await bytes_of(device))["reuse"] > 2 * MIB
        assert sum(told["real"].values()) == status["transfers"][-1]["length"]
        figures = await scraped(device, "socket")
        for name in ("reused_bytes_total", "reuse_expected_bytes_total"):
            assert figures[f"p2pupd_{name}", "slot"] == told["real"]["slot"]
            assert figures[f"p2pupd_{name}", "store"] == 0


async def test_packs_of_older_releases_make_room_for_a_new_one(
    floor: Fleet, publisher: Publisher
) -> None:
    """The quota has room for one pack and a half: the update comes all the same."""
    dice = random.Random(3)
    first, second = dice.randbytes(4 * MIB), dice.randbytes(4 * MIB)
    seed = floor.seed()
    device = floor.device("device", settings={"store": {"quota": 6 * MIB}})
    async with powered([seed, device]):
        await knows(device, 1)
        for number, image in enumerate((first, second), start=1):
            await released(floor, publisher, image, seed)
            await installs(device, number)
        assert (device.directory / "slot_a").read_bytes() == second
