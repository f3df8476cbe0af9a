"""What an idle daemon costs with eight neighbours: resident memory and processor time.

pytest -m benchmark tests/benchmarks/test_idle.py -s
"""

import asyncio
import os
import statistics
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from scenarios.lib.fleet import Publisher, fleet, knows, powered

NEIGHBOURS = 8
SETTLE_SECONDS = 20
WATCH_SECONDS = 60
TICK = os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> tuple[float, float]:
    """(RSS, its anonymous part) in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Rss")}
    rss = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return rss / 1024, found["RssAnon"] / 1024


def processor(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def pid_of(device: Device) -> int:
    assert device.process is not None
    return device.process.pid


@pytest.mark.benchmark
@pytest.mark.timeout(300)
async def test_an_idle_daemon_is_small_and_quiet(tmp_path: Path) -> None:
    publisher = await Publisher(tmp_path / "office").init()
    await publisher.release(1 << 20)
    async with fleet(None, publisher.anchor) as floor:
        seed = floor.seed()
        devices = [floor.device(f"d{number}") for number in range(NEIGHBOURS)]
        async with powered([seed, *devices]):
            for each in [seed, *devices]:
                await knows(each, NEIGHBOURS)
            await asyncio.sleep(SETTLE_SECONDS)
            before = [processor(pid_of(each)) for each in devices]
            await asyncio.sleep(WATCH_SECONDS)
            after = [processor(pid_of(each)) for each in devices]
            memory = [resident(pid_of(each)) for each in devices]
    shares = [100 * (b - a) / WATCH_SECONDS for a, b in zip(before, after, strict=True)]
    print(
        f"\nidle with {NEIGHBOURS} neighbours, median of {len(devices)}: "
        f"RSS {statistics.median(rss for rss, _ in memory):.1f} MiB "
        f"(worst {max(rss for rss, _ in memory):.1f}), "
        f"anonymous {statistics.median(anonymous for _, anonymous in memory):.1f} MiB, "
        f"CPU {statistics.median(shares):.2f} % of a core (worst {max(shares):.2f})"
    )
