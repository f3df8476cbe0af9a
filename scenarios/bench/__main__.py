"""`python -m scenarios.bench`: measure p2pupd, and beside it what one would use instead.

Everything runs in network namespaces on this machine, so it needs root, and a quiet machine.
"""

import sys
from pathlib import Path
from typing import Any

import click

from scenarios.bench import report
from scenarios.bench.course import Result, prepared
from scenarios.bench.options import CONTENDERS, Contenders, course_options, measure, merged


@click.group(epilog="Example: python -m scenarios.bench run --devices 8 --rate 50 --size 32M")
def bench() -> None:
    """Measure p2pupd on a floor of namespaces. Needs root and a quiet machine."""


@bench.command(epilog="Example: python -m scenarios.bench run --with p2pupd,http --rounds 3")
@course_options(devices=8, rate=50, size="32M", rounds=5)
@click.option("--with", "contenders", type=Contenders(), default="p2pupd", show_default=True)
def run(*, contenders: tuple[str, ...], rounds: int, **said: Any) -> None:
    """Every contender in turn, --rounds times: the last device's time against size / rate."""
    results: list[Result] = []
    try:
        measure(_rounds(contenders, rounds, results, **said))
    finally:
        if results:
            report.table(results, _title(results[0]))


async def _rounds(
    contenders: tuple[str, ...],
    rounds: int,
    results: list[Result],
    *,
    devices: int,
    rate: int,
    size: int,
    output: Path | None,
    settings: tuple[tuple[str, str, Any], ...],
    label: str,
) -> None:
    async with prepared(devices, rate or None, size, merged(settings)) as course:
        for number in range(1, rounds + 1):
            for name in contenders:
                result = await CONTENDERS[name].contest(course)
                results.append(result)
                click.echo(f"{number}/{rounds} {report.line_of(result)}")
                record = {"what": "run", "label": label, "round": number} | result.record()
                report.write(record, output)


def _title(result: Result) -> str:
    rate = "links as fast as they go" if result.rate is None else f"links of {result.rate} Mbit/s"
    return f"{result.devices} devices beside the seed, {rate}, {result.size / (1 << 20):g} MiB"


if __name__ == "__main__":
    sys.exit(bench())
