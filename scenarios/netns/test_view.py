"""A floor of 32 devices knows itself, at once, and says little about it at rest."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from scenarios.lib.fleet import Fleet, Json, fleet, powered, until
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


@needs_root
@pytest.mark.timeout(300)
async def test_the_whole_floor_is_seen_from_any_device_and_says_little_at_rest(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path / "office", KIB)
    office.release(1)
    with network() as net:
        async with fleet(net, office.anchor) as floor:
            await _scenario(net, floor)


async def _scenario(net: Net, floor: Fleet) -> None:
    devices = [floor.device(f"d{number}", settings=HURRIED) for number in range(DEVICES)]
    *early, last = devices
    async with powered(early):
        await _all_know(early, DEVICES - 1, within=120)
        began = time.monotonic()
        async with powered([last]):
            await _all_know(devices, DEVICES, within=30)
            took = time.monotonic() - began
            print(f"everybody knows everybody {took:.1f} s after the last start")
            await asyncio.sleep(FIRST_BEATS)
            spent = await _overheard(net, LISTEN)
            mean, most = sum(spent.values()) / DEVICES, max(spent.values())
            print(f"at rest, bytes a minute and device: {mean:.0f}, at most {most:.0f}")
            assert len(spent) == DEVICES
            assert most < 10 * KIB
