"""What happens when: a device's first sending, a seed that dies, a device that comes late, and
devices that know a server."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from statistics import median
from typing import Any, Final

import click

from p2pupd.config.schema import Settings
from p2pupd.demo.device import Device
from scenarios.bench import report
from scenarios.bench.alternatives import PORT, Place, configure_http, serve_http
from scenarios.bench.armed import Armed, listening
from scenarios.bench.course import BenchError, Course, Plan, prepared, switched
from scenarios.bench.machine import quiet
from scenarios.bench.product import (
    ACCEPTED,
    COMPLETE,
    Floor,
    acquainted,
    all_complete,
    fetching_since,
    floor_of,
    moments,
    plug_in,
    said,
    settings_of,
    transferred,
    verify,
)
from scenarios.lib.fleet import fleet, powered, until
from scenarios.lib.net import Net
from scenarios.lib.spread import Spread

WATCHED: Final = 3
LOOK_SECONDS: Final = 0.02
NEWS_SECONDS: Final = 60
POLL_SECONDS: Final = 0.5
STANDSTILL_SECONDS: Final = 15
"""Without a new byte on any device: then the seed took something with it."""
SMALL: Final = 64 * 1024


@asynccontextmanager
async def _plugged(plan: Plan, others: int = 0) -> AsyncIterator[tuple[Course, Floor]]:
    """A floor whose seed has just got the stick."""
    async with prepared(plan) as course:
        with switched(course, others) as net:
            async with floor_of(course, net) as floor, powered(floor.daemons):
                await acquainted(floor.daemons)
                await quiet(plan.settle)
                plug_in(course, floor)
                yield course, floor


async def early(plan: Plan) -> str:
    """The share of the image that a device has when it has sent the first bytes of it."""
    shares: list[float] = []
    async with _plugged(plan) as (course, floor):
        waiting = floor.devices[:WATCHED]
        deadline = time.monotonic() + course.patience
        while waiting and time.monotonic() < deadline:
            for device in list(waiting):
                status = await device.status()
                for each in status["transfers"][-1:] if status else []:
                    if each["bytes"]["sent"]:
                        shares.append(each["done"] / plan.size)
                        waiting.remove(device)
            await asyncio.sleep(LOOK_SECONDS)
        await all_complete(floor.devices, course.patience)
    report.write(plan, {"what": "early", "shares": shares})
    told = ", ".join(f"{each:.1%}" for each in shares)
    return f"{plan.title}: seen to send, for the first time, with {told} of the image"


async def kill(plan: Plan, at: float | None, *, spare: bool) -> str:
    """What becomes of a floor whose seed dies."""
    async with prepared(plan) as course:
        with switched(course, others=int(spare)) as net:
            async with floor_of(course, net) as floor:
                seeds = [floor.seed]
                if spare:
                    more = floor.fleet.seed(
                        "spare", host=net.hosts[-1], settings=settings_of(course)
                    )
                    seeds.append(more)
                async with powered([*seeds[1:], *floor.devices]):
                    await floor.seed.start()
                    return await _killed(course, floor, seeds, at)


async def _killed(course: Course, floor: Floor, seeds: list[Device], at: float | None) -> str:
    await acquainted([*seeds, *floor.devices])
    await quiet(course.plan.settle)
    spread = Spread(await asyncio.to_thread(course.image.read_bytes), floor.devices)
    plug_in(course, floor)
    accepted = (await until(lambda: moments(floor.seed, ACCEPTED), NEWS_SECONDS))[-1]
    sent = await _until_sent(course, floor, seeds, spread, at)
    if sent is None:
        total = _images(_sent(floor.net, seeds, course.size))
        return f"{course.plan.title}: all were complete with {total} on the wire"
    already = sum(said(each, COMPLETE) for each in floor.devices)
    await floor.seed.stop(signal.SIGKILL)
    killed = time.time() - accepted
    told = (
        f"{course.plan.title}: seed killed after {killed:.2f} s, when {_images(sent)} were on the "
        f"wire and {already} devices complete"
    )
    record = {"what": "kill", "at": at, "sent": sent, "killed": killed}
    try:
        await _completed(course, floor, spread)
    except BenchError as error:
        report.write(course.plan, record | {"last": None, "share": spread.share})
        return f"{told}; {error}"
    verify(course, floor.devices)
    last = max([(await moments(each, COMPLETE))[-1] for each in floor.devices]) - accepted
    report.write(course.plan, record | {"last": last, "share": 1})
    limit = "" if course.limit is None else f" = {last / course.limit:.2f} x size / rate"
    return f"{told}; all complete after {last:.2f} s{limit}"


async def _until_sent(
    course: Course, floor: Floor, seeds: list[Device], spread: Spread, at: float | None
) -> list[float] | None:
    """Wait until the seeds have sent so much, or every piece is on some device's disk; what each
    seed had put on the wire by then, or None where every device was complete before.

    Before one copy is on the wire there is nothing to look for.
    """
    deadline = time.monotonic() + course.patience
    while True:
        sent = _sent(floor.net, seeds, course.size)
        if at is not None and sum(sent) >= at:
            return sent
        if at is None and sum(sent) >= 1 and await asyncio.to_thread(spread.look) == 1:
            return sent
        if all(said(each, COMPLETE) for each in floor.devices):
            return None
        if time.monotonic() > deadline:
            raise BenchError(f"the seeds sent only {_images(sent)} in all")
        await asyncio.sleep(LOOK_SECONDS)


async def _completed(course: Course, floor: Floor, spread: Spread) -> None:
    """Wait for every device. Raises BenchError when nothing more comes to any of them."""
    deadline = time.monotonic() + course.patience
    stood = (0.0, time.monotonic())
    while not all(said(each, COMPLETE) for each in floor.devices):
        status = [await each.status() for each in floor.devices]
        done = sum(e["done"] for each in status if each for e in each["transfers"])
        now = time.monotonic()
        stood = stood if done == stood[0] else (done, now)
        if now > min(deadline, stood[1] + STANDSTILL_SECONDS):
            share = await asyncio.to_thread(spread.look)
            raise BenchError(f"not complete: {share:.2%} of the image is all that is left")
        await asyncio.sleep(POLL_SECONDS)


def _sent(net: Net, seeds: list[Device], size: int) -> list[float]:
    """What each seed has put on the wire, in images."""
    carried = net.carried()
    return [carried[each.address][0] / size for each in seeds]


def _images(sent: list[float]) -> str:
    return " + ".join(f"{each:.2f}" for each in sent) + " images"


async def late(plan: Plan) -> str:
    """Who feeds one that comes when all is done."""
    async with _plugged(plan, others=1) as (course, floor):
        await all_complete(floor.devices, course.patience)
        await quiet(plan.settle)
        before = floor.net.carried()
        host = floor.net.hosts[-1]
        comer = floor.fleet.device("late", host=host, settings=settings_of(course))
        async with powered([comer]):
            await all_complete([comer], course.patience)
            took = (await moments(comer, COMPLETE))[-1] - await fetching_since(comer)
            verify(course, [comer])
        after = floor.net.carried()
    sent = [
        (after[each][0] - before[each][0]) / plan.size for each in before if each != host.address
    ]
    report.write(plan, {"what": "late", "sent": sent, "took": took})
    return (
        f"{plan.title}: one that came late fetched in {took:.2f} s; the seed sent it {sent[0]:.2f} "
        f"images, the other devices {sum(sent[1:]):.2f}, one of them at most {max(sent[1:]):.2f}"
    )


async def uplink(plan: Plan, uplinks: int, line: int) -> str:
    """The bytes that cross the line to a server, in images, when some devices know it."""
    if "uplink" not in {each.name for each in fields(Settings)}:
        raise BenchError("this p2pupd knows no [uplink]")
    totals: list[float] = []
    for number in range(1, plan.rounds + 1):
        async with prepared(Plan(plan.devices, plan.rate, SMALL, settings=plan.settings)) as course:
            with switched(course, seed_rate=line) as net:
                found = await _over_the_line(course, net, plan, uplinks)
        totals.append(found["uplink_images"])
        report.write(plan, found | {"what": "uplink", "round": number, "line": line})
        click.echo(
            f"{number}/{plan.rounds} the server sent {found['uplink_images']:.3f} images, last "
            f"device after {max(found['times']):.2f} s"
        )
    return (
        f"{plan.devices} devices, {uplinks} of them with an uplink of {line} Mbit/s: the server "
        f"sent median {median(totals):.3f} images, worst {max(totals):.3f}"
    )


async def _over_the_line(course: Course, net: Net, plan: Plan, uplinks: int) -> dict[str, Any]:
    server_host, *hosts = net.hosts
    repository = course.publisher.repository
    place = Place(repository, server_host.address, server_host.address, course)
    configure_http(place)
    server = Armed(server_host, repository, serve_http(place))
    url = {"url": f"http://{server_host.address}:{PORT}", "interval": 1}
    try:
        await server.load()
        server.go()
        await listening(server_host, PORT)
        async with fleet(net, course.publisher.anchor) as made:
            devices = [
                made.device(
                    f"d{number}",
                    host=host,
                    settings=settings_of(course, **({"uplink": url} if number <= uplinks else {})),
                )
                for number, host in enumerate(hosts, 1)
            ]
            async with powered(devices):
                await acquainted(devices)
                await all_complete(devices, NEWS_SECONDS)
                return await _published(course, net, plan, devices[:uplinks], devices)
    finally:
        await server.stop()


async def _published(
    course: Course, net: Net, plan: Plan, linked: list[Device], devices: list[Device]
) -> dict[str, Any]:
    """The second release comes to the server; the first was only to bring all into step."""
    server = net.hosts[0].address
    await quiet(plan.settle)
    before = net.carried()[server][0]
    image = await course.publisher.release(plan.size)
    patience = Course(plan, course.directory, course.publisher, image, "", course.stick).patience
    await all_complete(devices, patience, count=2)
    sent = net.carried()[server][0] - before
    accepted = min([(await moments(each, ACCEPTED))[-1] for each in linked])
    ends = [(await moments(each, COMPLETE))[-1] - accepted for each in devices]
    counts = [(await transferred(each))["uplink"] / plan.size for each in linked]
    return {"uplink_images": sent / plan.size, "times": ends, "counted": counts}
