"""p2pupd as a contender: whole daemons, from the stick in the seed to the image in every store."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from p2pupd.demo.device import Device
from p2pupd.discovery.settings import DiscoverySettings
from scenarios.bench.course import BenchError, Course, Result, blank, digest_of, measured, switched
from scenarios.bench.machine import quiet
from scenarios.lib.fleet import Fleet, events, fleet, powered, until
from scenarios.lib.net import Net

ACCEPTED: Final = "manifest.accepted"
COMPLETE: Final = "transfer.complete"
POLL_SECONDS: Final = 0.1
START_SECONDS: Final = 120


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
            async with (
                floor_of(course, net) as (floor, seed, devices),
                powered([seed, *devices]),
            ):
                return await self._measure(course, floor, seed, devices)

    async def _measure(
        self, course: Course, floor: Fleet, seed: Device, devices: list[Device]
    ) -> Result:
        assert floor.net is not None
        await acquainted([seed, *devices])
        result = blank(self.name, course)
        result.notes["quiet"] = await quiet()
        async with measured(result, floor.net, pids([seed, *devices])):
            plug_in(course, floor)
            await asyncio.sleep(course.limit or 0)
            await all_complete(devices, course.patience)
        result.times = await times(seed, devices)
        result.notes |= await accounts(seed, devices, course)
        verify(course, devices)
        return result


@asynccontextmanager
async def floor_of(course: Course, net: Net) -> AsyncIterator[tuple[Fleet, Device, list[Device]]]:
    """The course's devices on the hosts of `net`, off."""
    hosts = iter(net.hosts)
    async with fleet(net, course.anchor) as floor:
        seed = floor.seed(host=next(hosts), settings=_settings(course))
        devices = [
            floor.device(f"d{number}", host=next(hosts), settings=_settings(course))
            for number in range(1, course.devices + 1)
        ]
        yield floor, seed, devices


def _settings(course: Course) -> dict[str, dict[str, Any]]:
    settings = {section: dict(values) for section, values in course.settings.items()}
    settings["device"] = {"consent": True} | settings.get("device", {})
    return settings


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


def plug_in(course: Course, floor: Fleet) -> None:
    """Put the stick into the seed."""
    pocket = floor.directory / "pocket"
    shutil.copytree(course.stick, pocket)
    pocket.rename(floor.stick)


async def all_complete(devices: Iterable[Device], within: float) -> None:
    """Wait until every device says so in its log: daemons are not asked while they are measured."""
    deadline = time.monotonic() + within
    waiting = list(devices)
    while waiting := [each for each in waiting if not said(each, COMPLETE)]:
        if time.monotonic() > deadline:
            names = ", ".join(each.name for each in waiting)
            raise BenchError(f"p2pupd: not complete within {within:.0f} s: {names}")
        await asyncio.sleep(POLL_SECONDS)


def said(device: Device, event: str) -> int:
    """How often its log tells of the event."""
    return device.log_file.read_bytes().count(f" {event} ".encode())


async def moments(device: Device, event: str) -> list[float]:
    """When the event happened, as its history tells (Unix seconds)."""
    return [float(line["at"]) for line in await events(device) if line["event"] == event]


async def times(seed: Device, devices: Iterable[Device]) -> list[float]:
    """Seconds from the newest release's being accepted by the seed to each device's having it."""
    accepted = (await moments(seed, ACCEPTED))[-1]
    return [(await moments(each, COMPLETE))[-1] - accepted for each in devices]


async def accounts(seed: Device, devices: list[Device], course: Course) -> dict[str, Any]:
    """What the daemons themselves count, in images: sent as payload by each, and wasted."""
    counts = [await transferred(each) for each in [seed, *devices]]
    return {
        "payload_sent": [each["sent"] / course.size for each in counts],
        "wasted": [each["wasted"] / course.size for each in counts],
    }


async def transferred(device: Device) -> dict[str, int]:
    """The byte counts of its newest transfer."""
    status = await device.status()
    transfers = status["transfers"] if status else []
    return transfers[-1]["bytes"] if transfers else {"sent": 0, "wasted": 0, "lan": 0}


def verify(course: Course, devices: Iterable[Device]) -> None:
    """Every device's store has the image's bytes."""
    for each in devices:
        if course.digest not in {digest_of(path) for path in _stored(each, course.size)}:
            raise BenchError(f"p2pupd: {each.name} has other bytes than the release")


def _stored(device: Device, size: int) -> list[Path]:
    files = (device.directory / "store").rglob("*")
    return [each for each in files if each.is_file() and each.stat().st_size == size]
