"""From the release being known on the seed to the last of eight devices having fetched it.

pytest -m benchmark tests/benchmarks/test_latency.py -s
"""

import statistics
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from scenarios.lib.fleet import Publisher, events, fleet, knows, on, powered, until

DEVICES = 8
SIZE = 1 << 20
ROUNDS = 5


async def _moment(device: Device, event: str, count: int) -> float | None:
    """When `event` happened for the `count`-th time."""
    times = [float(line["at"]) for line in await events(device) if line["event"] == event]
    return times[count - 1] if len(times) >= count else None


@pytest.mark.benchmark
@pytest.mark.timeout(300)
async def test_a_small_release_crosses_the_floor(tmp_path: Path) -> None:
    publisher = await Publisher(tmp_path / "office").init()
    times: list[float] = []
    consent = {"device": {"consent": True}}
    async with fleet(None, publisher.anchor) as floor:
        seed = floor.seed()
        devices = [floor.device(f"d{number}", settings=consent) for number in range(DEVICES)]
        async with powered([seed, *devices]):
            for each in [seed, *devices]:
                await knows(each, DEVICES)
            for count in range(1, ROUNDS + 1):
                await publisher.release(SIZE)
                stick = await publisher.stick(tmp_path / f"stick-{count}")
                await on(seed, "import", str(stick))
                known = await until(lambda: _moment(seed, "manifest.accepted", count), 10)  # noqa: B023
                ends = [
                    await until(lambda: _moment(each, "transfer.complete", count), 30)  # noqa: B023
                    for each in devices
                ]
                assert known is not None
                times.append(max(end for end in ends if end is not None) - known)
    print(
        f"\n{SIZE >> 10} KiB to {DEVICES} devices, {ROUNDS} rounds: last device after "
        f"median {statistics.median(times):.2f} s, worst {max(times):.2f} s"
    )
