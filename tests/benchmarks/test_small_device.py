"""What a daemon of each kind costs in memory: idle, and while 256 MiB come from three neighbours.

    python -m pytest -m benchmark tests/benchmarks/test_small_device.py -s

Anonymous memory (RssAnon) is what a device must really have; the rest of the RSS are pages of
program files, which the kernel takes back when it needs them.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from p2pupd.demo.floor import phase_of
from scenarios.lib.fleet import Fleet, Json, Publisher, fleet, knows, on, powered, until
from tests.benchmarks.test_idle import pid_of, resident
from tests.support import running

SIZE = 256 << 20
NEIGHBOURS = 3
SETTLE_SECONDS = 5
LOOK_SECONDS = 0.05
MOST_ANONYMOUS = 48
"""MiB: a device with 64 MiB has a kernel and a login beside it."""

KINDS: dict[str, Json] = {
    "libtorrent": {"swarm": {"backend": "libtorrent"}},
    "libtorrent, small": {"swarm": {"backend": "libtorrent", "memory": "small"}},
    "http": {"swarm": {"backend": "http"}},
}


@dataclass
class Memory:
    """The most of each, in MiB."""

    rss: float = 0.0
    anonymous: float = 0.0

    def look(self, device: Device) -> None:
        rss, anonymous = resident(pid_of(device))
        self.rss, self.anonymous = max(self.rss, rss), max(self.anonymous, anonymous)

    def __str__(self) -> str:
        return f"RssAnon {self.anonymous:.1f} MiB, RSS {self.rss:.1f} MiB"


async def _until_fetched(device: Device, memory: Memory) -> None:
    async def done() -> bool:
        return phase_of(await device.status()) == "waiting"

    async def watch() -> None:
        while True:
            memory.look(device)
            await asyncio.sleep(LOOK_SECONDS)

    async with running(watch()):
        await until(done, 300, "fetched")


async def _measured(floor: Fleet, kind: str, stick: Path) -> tuple[Memory, Memory]:
    """(idle, fetching) of a device of that kind."""
    settings = KINDS[kind] | {"device": {"consent": True}}
    seeds = [floor.seed(f"seed{number}") for number in range(NEIGHBOURS)]
    device = floor.device("device", settings=settings)
    idle, busy = Memory(), Memory()
    async with powered([*seeds, device]):
        await knows(device, NEIGHBOURS)
        await asyncio.sleep(SETTLE_SECONDS)
        idle.look(device)
        async with asyncio.TaskGroup() as group:
            group.create_task(_until_fetched(device, busy))
            for each in seeds:
                group.create_task(on(each, "import", str(stick)))
    return idle, busy


@pytest.mark.benchmark
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_daemon_leaves_room_on_a_device_with_64_mebibytes(
    tmp_path: Path, kind: str
) -> None:
    publisher = await Publisher(tmp_path / "office").init()
    await publisher.release(SIZE)
    stick = await publisher.stick(tmp_path / "stick")
    async with fleet(None, publisher.anchor) as floor:
        idle, busy = await _measured(floor, kind, stick)
    print(f"\n{kind}: idle {idle}; fetching {SIZE >> 20} MiB {busy}")
    assert busy.anonymous < MOST_ANONYMOUS
