"""p2pupd as a contender: whole daemons, from the stick in the seed to the image in every store."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from p2pupd.demo.device import Device
from p2pupd.discovery.settings import DiscoverySettings
from scenarios.bench.course import BenchError, Course, Result, blank, digest_of, measured, switched
from scenarios.bench.machine import quiet
from scenarios.lib.fleet import Fleet, events, fleet, powered, until
from scenarios.lib.net import Net
from scenarios.lib.spread import files_of

ACCEPTED: Final = "manifest.accepted"
COMPLETE: Final = "transfer.complete"
NOTHING: Final = {"sent": 0, "wasted": 0, "lan": 0}
POLL_SECONDS: Final = 0.1
START_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Floor:
    """The daemons of a course, and the network that they are on."""

    fleet: Fleet
    net: Net
    seed: Device
    devices: list[Device]

    @property
    def daemons(self) -> list[Device]:
        """The seed first."""
        return [self.seed, *self.devices]


class P2pupd:
    """Its clock starts when the seed has accepted the release, and stops at the last device's
    having verified it; both are times of the daemons' own histories. No device installs: an
    operator's consent is awaited, so that none leaves to restart."""

    name = "p2pupd"

    def missing(self) -> str | None:
        """What this machine lacks for it."""
        return None

    async def contest(self, course: Course) -> Result:
        """Run the course once."""
        with switched(course) as net:
            async with floor_of(course, net) as floor, powered(floor.daemons):
                return await self._measure(course, floor)

    async def _measure(self, course: Course, floor: Floor) -> Result:
        await acquainted(floor.daemons)
        result = blank(self.name, course)
        result.notes["quiet"] = await quiet(course.plan.settle)
        async with measured(result, floor.net, pids(floor.daemons)):
            plug_in(course, floor)
            await asyncio.sleep(course.limit or 0)
            await all_complete(floor.devices, course.patience)
        result.times = await times(floor.seed, floor.devices)
        result.notes |= await accounts(floor, result)
        verify(course, floor.devices)
        return result


@asynccontextmanager
async def floor_of(course: Course, net: Net) -> AsyncIterator[Floor]:
    """The course's daemons on the hosts of `net`, off."""
    settings = settings_of(course)
    hosts = iter(net.hosts)
    async with fleet(net, course.publisher.anchor) as made:
        seed = made.seed(host=next(hosts), settings=settings)
        names = [f"d{number}" for number in range(1, course.devices + 1)]
        devices = [made.device(each, host=next(hosts), settings=settings) for each in names]
        yield Floor(made, net, seed, devices)


def settings_of(course: Course, **more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What every daemon is configured with."""
    settings = {section: dict(values) for section, values in course.plan.settings.items()}
    settings["device"] = {"consent": True} | settings.get("device", {})
    return settings | more


async def acquainted(daemons: list[Device]) -> None:
    """Everybody knows everybody, or as many as a daemon keeps."""
    enough = min(len(daemons) - 1, DiscoverySettings().neighbours)

    async def knows_them(device: Device) -> bool:
        status = await device.status()
        return status is not None and int(status["neighbours"]) >= enough

    for each in daemons:
        await until(
            lambda: knows_them(each),  # noqa: B023
            START_SECONDS,
            f"{each.name} knows {enough} neighbours",
        )


def pids(daemons: Iterable[Device]) -> dict[str, int]:
    """The running processes."""
    return {each.name: each.process.pid for each in daemons if each.process is not None}


def plug_in(course: Course, floor: Floor) -> None:
    """Put the stick into the seed."""
    pocket = floor.fleet.directory / "pocket"
    shutil.copytree(course.stick, pocket, copy_function=os.link)
    pocket.rename(floor.fleet.stick)


async def all_complete(devices: Iterable[Device], within: float, count: int = 1) -> None:
    """Wait until every device's log tells of `count` complete transfers: daemons are not asked
    while they are measured. Raises BenchError after so many seconds."""
    deadline = time.monotonic() + within
    waiting = list(devices)
    while waiting := [each for each in waiting if said(each, COMPLETE) < count]:
        if time.monotonic() > deadline:
            names = ", ".join(each.name for each in waiting)
            raise BenchError(f"p2pupd: not complete within {within:.0f} s: {names}")
        await asyncio.sleep(POLL_SECONDS)


def said(device: Device, event: str) -> int:
    """How often its log tells of the event."""
    try:
        return device.log_file.read_bytes().count(f" {event} ".encode())
    except FileNotFoundError:
        return 0


async def moments(device: Device, event: str, **fields: str) -> list[float]:
    """When the event happened with these fields, as its history tells (Unix seconds)."""
    return [
        float(line["at"])
        for line in await events(device)
        if line["event"] == event and fields.items() <= line.items()
    ]


async def times(seed: Device, devices: Iterable[Device]) -> list[float]:
    """Seconds from the newest release's being accepted by the seed to each device's having it."""
    accepted = (await moments(seed, ACCEPTED))[-1]
    return [(await moments(each, COMPLETE))[-1] - accepted for each in devices]


async def fetching_since(device: Device) -> float:
    """When it began to fetch its newest release (Unix seconds)."""
    return (await moments(device, "phase.changed", to="fetching"))[-1]


async def accounts(floor: Floor, result: Result) -> dict[str, Any]:
    """What the daemons tell: sent as payload by each and wasted, in images; and in seconds after
    the release was accepted: when each device began to fetch, when its last bytes came."""
    accepted = (await moments(floor.seed, ACCEPTED))[-1]
    counts = [await transferred(each) for each in floor.daemons]
    return {
        "payload_sent": [each["sent"] / result.size for each in counts],
        "wasted": [each["wasted"] / result.size for each in counts],
        "fetching": [await fetching_since(each) - accepted for each in floor.devices],
        "filled": [each.filled - accepted for each in result.nodes[1:]],
    }


async def transferred(device: Device) -> dict[str, int]:
    """The byte counts of its newest transfer."""
    status = await device.status()
    transfers = status["transfers"] if status else []
    counts: dict[str, int] = transfers[-1]["bytes"] if transfers else NOTHING
    return counts


def verify(course: Course, devices: Iterable[Device]) -> None:
    """Every device's store has the image's bytes."""
    for each in devices:
        if course.digest not in {digest_of(path) for path in files_of(each, course.size)}:
            raise BenchError(f"p2pupd: {each.name} has other bytes than the release")
