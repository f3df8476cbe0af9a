"""`python -m scenarios.bench`: measure p2pupd, and beside it what one would use instead.

Everything runs in network namespaces on this machine, so it needs root, and a quiet machine.
"""

import sys
from pathlib import Path
from typing import Any

import click

from scenarios.bench import figures, incidents, markdown, plot, report
from scenarios.bench.course import Plan
from scenarios.bench.options import FILE, Contenders, measure, plan_options


@click.group(epilog="Example: python -m scenarios.bench run --devices 8 --rate 50 --size 32M")
def bench() -> None:
    """Measure p2pupd on a floor of namespaces. Needs root and a quiet machine."""


@bench.command(epilog="Example: python -m scenarios.bench run --with p2pupd,http --rounds 3")
@plan_options(devices=8, rate=50, size="32M", rounds=5)
@click.option("--with", "contenders", type=Contenders(), default="p2pupd", show_default=True)
def run(*, contenders: tuple[str, ...], **said: Any) -> None:
    """Every contender in turn: the last device's time against size / rate."""
    plan = Plan(**said)
    results = measure(figures.rounds(plan, contenders))
    report.table(results, plan.title)


@bench.command(epilog="Example: python -m scenarios.bench two --size 1G")
@plan_options(devices=1, rate=0, size="512M", rounds=5)
def two(**said: Any) -> None:
    """The seed and one device, unshaped: p2pupd's throughput against HTTP's by sendfile(2)."""
    click.echo(measure(figures.two(Plan(**said))))


@bench.command(epilog="Example: python -m scenarios.bench latency")
@plan_options(devices=16, rate=0, size="1M", rounds=5)
def latency(**said: Any) -> None:
    """One floor, one small release after the other: seconds until the last device has it."""
    click.echo(measure(figures.latency(Plan(**said))))


@bench.command(epilog="Example: python -m scenarios.bench memory")
@plan_options(devices=4, rate=200, size="1G")
def memory(**said: Any) -> None:
    """The most memory of each daemon while a large image is swarmed."""
    plan = Plan(**said)
    results = measure(figures.rounds(plan, ("p2pupd",), what="memory"))
    report.table(results, plan.title)
    report.memory(results)


@bench.command(epilog="Example: python -m scenarios.bench early")
@plan_options(devices=8, rate=50, size="32M")
def early(**said: Any) -> None:
    """How much three devices have when they send their first piece."""
    click.echo(measure(incidents.early(Plan(**said))))


@bench.command(epilog="Example: python -m scenarios.bench kill --at 0.5 --spare")
@plan_options(devices=8, rate=50, size="32M")
@click.option("--at", type=click.FloatRange(0), help="Images on the wire.")
@click.option("--spare", is_flag=True, help="A second seed has the stick too.")
def kill(*, at: float | None, spare: bool, **said: Any) -> None:
    """Kill the seed (SIGKILL) when every piece is on the disk of one device at least, or when the
    seeds have put so many images on the wire in all (--at).

    Headers are 5 % of what is on the wire.
    """
    plan = Plan(**said)
    for number in range(1, plan.rounds + 1):
        click.echo(f"{number}/{plan.rounds} {measure(incidents.kill(plan, at, spare=spare))}")


@bench.command(epilog="Example: python -m scenarios.bench late")
@plan_options(devices=8, rate=50, size="32M")
def late(**said: Any) -> None:
    """A device that comes when all others have it: who sends how much to it."""
    click.echo(measure(incidents.late(Plan(**said))))


@bench.command(epilog="Example: python -m scenarios.bench uplink --uplinks 2 --line 50")
@plan_options(devices=16, rate=50, size="32M", rounds=3)
@click.option("--uplinks", type=click.IntRange(1), default=2, show_default=True)
@click.option(
    "--line", type=click.IntRange(1), default=50, show_default=True, help="Mbit/s to the server."
)
def uplink(*, uplinks: int, line: int, **said: Any) -> None:
    """No seed: some devices know a server. What it sends in all, in images."""
    click.echo(measure(incidents.uplink(Plan(**said), uplinks, line)))


@bench.command(
    "plot", epilog="Example: python -m scenarios.bench plot a.jsonl docs/performance.svg"
)
@click.argument("results", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@click.argument("picture", type=FILE)
def plot_(results: tuple[Path, ...], picture: Path) -> None:
    """Draw what `run` measured. Needs the extra `bench`."""
    plot.draw(report.read(results), picture)


@bench.command(epilog="Example: python -m scenarios.bench tables a.jsonl b.jsonl")
@click.argument("results", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
def tables(results: tuple[Path, ...]) -> None:
    """The tables of docs/performance.md from what `run` measured."""
    for line in markdown.tables(report.read(results)):
        click.echo(line)


if __name__ == "__main__":
    sys.exit(bench())
