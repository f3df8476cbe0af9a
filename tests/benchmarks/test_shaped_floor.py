"""The whole daemon on links shaped alike both ways: how near to the limit, how much from the seed.

    python -m pytest -m benchmark tests/benchmarks/test_shaped_floor.py -s

The limit is size / rate: what one device alone would need. Devices wait for consent, so that none
leaves the swarm to restart. Needs root (network namespaces).
"""

import statistics
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from scenarios.lib.fleet import Fleet, Publisher, events, fleet, knows, on, powered, until
from scenarios.lib.net import network
from tests.support import needs_root

DEVICES = 8
RATE = 50
SIZE = 32 << 20
ROUNDS = 3


async def _when(device: Device, event: str) -> float | None:
    times = [float(line["at"]) for line in await events(device) if line["event"] == event]
    return times[0] if times else None


async def _round(floor: Fleet, stick: Path) -> tuple[float, float]:
    """(last device's time over the limit, images sent by the seed)."""
    consent = {"device": {"consent": True}}
    seed = floor.seed()
    devices = [floor.device(f"d{number}", settings=consent) for number in range(DEVICES)]
    async with powered([seed, *devices]):
        for each in [seed, *devices]:
            await knows(each, DEVICES)
        await on(seed, "import", str(stick))
        known = await until(lambda: _when(seed, "manifest.accepted"), 10)
        ends = [
            await until(lambda: _when(each, "transfer.complete"), 120)  # noqa: B023
            for each in devices
        ]
        status = await seed.status()
    assert status is not None
    assert known is not None
    last = max(end for end in ends if end is not None) - known
    sent = sum(each["bytes"]["sent"] for each in status["transfers"])
    return last / (SIZE * 8 / (RATE * 1e6)), sent / SIZE


@needs_root
@pytest.mark.benchmark
@pytest.mark.timeout(600)
async def test_a_floor_on_shaped_links(tmp_path: Path) -> None:
    publisher = await Publisher(tmp_path / "office").init()
    await publisher.release(SIZE)
    stick = await publisher.stick(tmp_path / "stick")
    rounds = []
    for _ in range(ROUNDS):
        with network(rate=RATE) as net:
            async with fleet(net, publisher.anchor) as floor:
                rounds.append(await _round(floor, stick))
    print(
        f"\n{DEVICES} devices, {RATE} Mbit/s, {SIZE >> 20} MiB, {ROUNDS} rounds: last device "
        f"{statistics.median(ratio for ratio, _ in rounds):.2f} x size / rate, seed sent "
        f"{statistics.median(sent for _, sent in rounds):.2f} images"
    )
