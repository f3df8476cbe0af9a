"""Figures of whole runs: against the limit, throughput of two nodes, latency."""

import asyncio
from statistics import median
from typing import Any, Final

import click

from scenarios.bench import report
from scenarios.bench.course import MIB, BenchError, Course, Plan, Result, prepared, switched
from scenarios.bench.machine import quiet
from scenarios.bench.options import CONTENDERS, first_of
from scenarios.bench.product import (
    COMPLETE,
    acquainted,
    all_complete,
    fetching_since,
    floor_of,
    moments,
    plug_in,
    times,
    verify,
)
from scenarios.lib.fleet import powered

PLACE_SECONDS: Final = 60


async def rounds(plan: Plan, contenders: tuple[str, ...], what: str = "run") -> list[Result]:
    """The contenders take turns. One that fails is told of and left out of that round."""
    results: list[Result] = []
    async with prepared(plan) as course:
        for number in range(1, plan.rounds + 1):
            for name in contenders:
                try:
                    result = await CONTENDERS[name].contest(course)
                except (BenchError, AssertionError, ExceptionGroup) as error:
                    click.echo(f"{number}/{plan.rounds} {name} failed: {first_of(error)}", err=True)
                    continue
                results.append(result)
                click.echo(f"{number}/{plan.rounds} {report.line_of(result)}")
                report.write(plan, result.record() | {"what": what, "round": number})
    if not results:
        raise BenchError("nothing was measured")
    return results


async def two(plan: Plan) -> str:
    """Throughput of the seed and one device that comes when the seed has the image.

    From its beginning to fetch until it has proved all of it; HTTP's from the request.
    """
    ours: list[float] = []
    theirs: list[float] = []
    async with prepared(plan) as course:
        for number in range(1, plan.rounds + 1):
            ours.append(plan.size / MIB / await _fetched(course))
            http = await CONTENDERS["http"].contest(course)
            theirs.append(plan.size / MIB / http.last)
            found = {"what": "two", "round": number, "p2pupd": ours[-1], "http": theirs[-1]}
            report.write(plan, found)
            click.echo(
                f"{number}/{plan.rounds} p2pupd {ours[-1]:.0f} MiB/s, HTTP {theirs[-1]:.0f} MiB/s"
            )
    ratio = median(our / their for our, their in zip(ours, theirs, strict=True))
    return (
        f"{plan.title}: p2pupd {median(ours):.0f} MiB/s, HTTP {median(theirs):.0f} MiB/s,"
        f" median ratio {ratio:.2f}"
    )


async def _fetched(course: Course) -> float:
    with switched(course) as net:
        async with floor_of(course, net) as floor, powered([floor.seed]):
            plug_in(course, floor)
            await all_complete([floor.seed], course.patience)
            await quiet(course.plan.settle)
            async with powered(floor.devices):
                await all_complete(floor.devices, course.patience)
                verify(course, floor.devices)
                device = floor.devices[0]
                return (await moments(device, COMPLETE))[-1] - await fetching_since(device)


async def latency(plan: Plan) -> str:
    """Release after release to the same floor."""
    last: list[float] = []
    async with prepared(plan) as course:
        sticks = [course.stick]
        for number in range(2, plan.rounds + 1):
            await course.publisher.release(plan.size)
            sticks.append(await course.publisher.stick(course.directory / f"stick-{number}"))
        with switched(course) as net:
            async with floor_of(course, net) as floor, powered(floor.daemons):
                await acquainted(floor.daemons)
                for number, stick in enumerate(sticks, 1):
                    await quiet(plan.settle)
                    where: dict[str, Any] = {"path": str(stick)}
                    control = floor.seed.control
                    await asyncio.to_thread(lambda: list(control.stream("/v1/import", where)))  # noqa: B023
                    await all_complete(floor.devices, PLACE_SECONDS, count=number)
                    found = await times(floor.seed, floor.devices)
                    last.append(max(found))
                    click.echo(f"{number}/{plan.rounds} last device after {last[-1]:.2f} s")
                    report.write(plan, {"what": "latency", "round": number, "times": found})
    return f"{plan.title}: last device after median {median(last):.2f} s, worst {max(last):.2f} s"
