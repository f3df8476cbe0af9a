"""Figures of whole runs: against the limit, throughput of two nodes, latency."""

import asyncio
from statistics import median
from typing import Any, Final

import click

from scenarios.bench import report
from scenarios.bench.course import MIB, BenchError, Plan, Result, prepared, switched
from scenarios.bench.machine import quiet
from scenarios.bench.options import CONTENDERS, first_of
from scenarios.bench.product import acquainted, all_complete, floor_of, times
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


def throughputs(results: list[Result]) -> list[str]:
    """What two nodes reach: p2pupd from its beginning to fetch, HTTP from the request."""
    speed: dict[str, float] = {}
    for name in dict.fromkeys(each.contender for each in results):
        for end, seconds in _spans([each for each in results if each.contender == name]).items():
            speed[end] = median(results[0].size / MIB / each for each in seconds)
    reference = speed.get("http")
    return [
        f"{name}: {value:.0f} MiB/s"
        + (f", {value / reference:.2f} x HTTP" if reference and name != "http" else "")
        for name, value in speed.items()
    ]


def _spans(results: list[Result]) -> dict[str, list[float]]:
    """Seconds of each round, by what is reached at their end."""
    if results[0].contender != "p2pupd":
        return {results[0].contender: [each.last for each in results]}
    starts = [min(each.notes["fetching"]) for each in results]
    return {
        "p2pupd until the last byte": [
            max(each.notes["filled"]) - start for each, start in zip(results, starts, strict=True)
        ],
        "p2pupd until it is verified": [
            each.last - start for each, start in zip(results, starts, strict=True)
        ],
    }


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
