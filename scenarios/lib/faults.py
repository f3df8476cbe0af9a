"""What befalls devices and networks, in words that hold on every ground (lib/ground.py)."""

import asyncio
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from p2pupd.demo.device import Device
from scenarios.lib.fleet import Fleet
from scenarios.lib.ground import Host

MULTICAST = "ip daddr 224.0.0.0/4"
LIBRARY = "*/faketime/libfaketime.so.1"


async def power_cut(devices: Iterable[Device]) -> None:
    """All of them at the same moment (kill -9); `powered` devices come up again by themselves."""
    async with asyncio.TaskGroup() as group:
        for each in devices:
            group.create_task(each.stop(signal.SIGKILL), name=each.name)


@contextmanager
def paused(fleet: Fleet, device: Device) -> Iterator[None]:
    """It hangs: its connections stay, and nothing answers."""
    fleet.ground.pause(device)
    try:
        yield
    finally:
        fleet.ground.resume(device)


@contextmanager
def unplugged(fleet: Fleet, device: Device) -> Iterator[None]:
    """Its cable is out."""
    host = fleet.host_of(device)
    fleet.ground.unplug(host)
    try:
        yield
    finally:
        fleet.ground.plug(host)


@contextmanager
def partition(fleet: Fleet, here: Iterable[Device], there: Iterable[Device]) -> Iterator[None]:
    """No packet gets from one side to the other."""
    sides = [[fleet.host_of(each) for each in side] for side in (here, there)]
    for side, other in (sides, sides[::-1]):
        foreign = ", ".join(each.address for each in other)
        for host in side:
            fleet.ground.drop(host, f"ip saddr {{ {foreign} }}")
    try:
        yield
    finally:
        for host in (*sides[0], *sides[1]):
            fleet.ground.drop(host)


def lose(fleet: Fleet, hosts: Iterable[Host], percent: int) -> None:
    """So many of the packets that arrive are lost, by chance, from now on."""
    for each in hosts:
        fleet.ground.drop(each, f"meta iifname != lo numgen random mod 100 < {percent}")


def filter_multicast(fleet: Fleet, hosts: Iterable[Host]) -> None:
    """As a switch that lets no multicast through, from now on."""
    for each in hosts:
        fleet.ground.drop(each, MULTICAST)


class Clock:
    """The wall clock of devices that are made with its `environment`, and that `see` it.

    By libfaketime: time that only passes (monotonic) is left alone, as a clock that is set does.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._library = next(Path("/usr/lib").glob(LIBRARY))
        self.jump("+0")

    def jump(self, offset: str) -> None:
        """From now on it is off by this: "-2y", "+70y"; within a second."""
        self._file.write_text(f"{offset}\n")

    @property
    def environment(self) -> dict[str, str]:
        """What such a device's daemon is started with."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    @property
    def sees(self) -> tuple[Path, ...]:
        """What its daemon reads."""
        return (self._library, self._file)
