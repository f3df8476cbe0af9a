"""A floor of 32 devices knows itself, at once, and says little about it at rest."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from scenarios.lib.fleet import Json, fleet, powered, until
from scenarios.lib.net import Net, network
from scenarios.lib.office import Office
from tests.support import needs_root

DEVICES = 32
KIB = 1024
FASTER = 10
"""At rest everything happens so many times as often as by default, so a minute tells of ten."""
HURRIED: dict[str, Json] = {"fleet": {"beat": 600 / FASTER, "interval": 90 / FASTER}}
FIRST_BEATS = 60
LISTEN = 60


async def _view(device: Device) -> list[Json]:
    found: list[Json] = await device.ask("/v1/fleet") or []
    return found


async def _all_know(devices: list[Device], count: int, within: float) -> None:
    async def complete() -> bool:
        return all([len(await _view(each)) == count for each in devices])

    await until(complete, within, f"every device knows {count}")


async def _overheard(net: Net, seconds: int) -> dict[str, float]:
    """{address: bytes that it would send and receive in a minute, for comparing views}."""
    ear = await asyncio.create_subprocess_exec(
        *net.switch, sys.executable, "-m", "scenarios.lib.overheard",
        str(seconds), "/peer/v1/sync", stdout=subprocess.PIPE,
    )  # fmt: skip
    said, _ = await ear.communicate()
    spent: dict[str, int] = json.loads(said.splitlines()[-1])["spent"]
    return {address: amount * 60 / seconds / FASTER for address, amount in spent.items()}


@asynccontextmanager
async def _complete(directory: Path) -> AsyncIterator[Net]:
    """The network of a floor of which every device knows every other one."""
    office = Office(directory / "office", KIB)
    office.release(1)
    with network() as net:
        async with fleet(net, office.anchor) as floor:
            devices = [floor.device(f"d{number}", settings=HURRIED) for number in range(DEVICES)]
            *early, last = devices
            async with powered(early):
                await _all_know(early, DEVICES - 1, within=120)
                began = time.monotonic()
                async with powered([last]):
                    await _all_know(devices, DEVICES, within=60)
                    took = time.monotonic() - began
                    print(f"everybody knows everybody {took:.1f} s after the last start")
                    yield net


@needs_root
@pytest.mark.timeout(300)
async def test_the_whole_floor_is_seen_from_any_device(tmp_path: Path) -> None:
    async with _complete(tmp_path):
        pass


@needs_root
@pytest.mark.benchmark
@pytest.mark.timeout(400)
async def test_a_floor_at_rest_says_little(tmp_path: Path) -> None:
    async with _complete(tmp_path) as net:
        await asyncio.sleep(FIRST_BEATS)
        spent = await _overheard(net, LISTEN)
        mean, most = sum(spent.values()) / DEVICES, max(spent.values())
        print(f"at rest, bytes a minute and device: {mean:.0f}, at most {most:.0f}")
        assert len(spent) == DEVICES
        assert most < 10 * KIB
