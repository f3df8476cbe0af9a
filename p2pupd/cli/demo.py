"""`demo`: a whole floor on this machine, to look at."""

import asyncio
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from p2pupd.cli.device import COLOURS
from p2pupd.cli.watching import size
from p2pupd.demo.floor import Floor, Summary, phase_of
from p2pupd.errors import UpdateError, UsageError

REFRESH: Final = 0.5
TIMEOUT: Final = 600.0
UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class _Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"([1-9]\d*)([KMG]?)", str(value), re.ASCII)
        if match is None:
            self.fail(f"{value!r} is not a size such as 64M", param, ctx)
        return int(match[1]) * UNITS[match[2]]


@click.command(epilog="Example: p2pupd demo --devices 4 --size 16M --once")
@click.option("--devices", type=click.IntRange(2, 32), default=8, show_default=True)
@click.option("--size", "length", type=_Size(), default="64M", show_default=True)
@click.option("--once", is_flag=True, help="End when all are done; exit 0 if as expected.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    help="Build the floor in this new directory and leave it there.",
)
@click.pass_context
def demo(context: click.Context, devices: int, length: int, once: bool, keep: Path | None) -> None:
    """Sign a release, plug it into a seed, update a floor of devices.

    Every device is a real daemon with its own state. The last one is given a health check that
    fails, and goes back to its old release.
    """
    if keep is not None and keep.exists():
        raise UsageError(f"{keep} exists already; name a new directory")
    directory = keep or Path(tempfile.mkdtemp(prefix="p2pupd-"))
    directory.mkdir(parents=True, exist_ok=True)
    console = Console()
    floor = Floor(directory.absolute(), devices, length, _say(console))
    try:
        summary = asyncio.run(_show(floor, once, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        context.exit(0)
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    _print(console, summary)
    context.exit(0 if summary.as_expected else 1)


def _say(console: Console) -> Any:
    return lambda line: console.print(Text(f"$ {line}", "dim"), soft_wrap=True)


async def _show(floor: Floor, once: bool, console: Console) -> Summary:
    _end_on_signals()
    console.print(f"A floor of 1 seed and {floor.devices} devices in {floor.directory}")
    await floor.publish()
    await asyncio.to_thread(floor.prepare)
    console.print(f"Dashboard: {floor.dashboard}  (token: {floor.directory}/control.token)")
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(each.run(), name=each.name) for each in floor.everyone]
        try:
            return await _watch(floor, once, console)
        finally:
            for each in running:
                each.cancel()


def _end_on_signals() -> None:
    """Whoever ends the demo or closes its terminal wants the whole floor to end, as by Ctrl-C."""
    main = asyncio.current_task()
    assert main is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, main.cancel)


async def _watch(floor: Floor, once: bool, console: Console) -> Summary:
    deadline = time.monotonic() + TIMEOUT
    plugged, summary = 0.0, None
    with Live(_table(floor, {}, "starting"), console=console, auto_refresh=False) as live:
        while True:
            statuses = await floor.statuses()
            if not plugged and floor.acquainted(statuses):
                floor.plug_in()
                plugged = time.monotonic()
            title = f"{time.monotonic() - plugged:.0f} s since the stick" if plugged else "starting"
            live.update(_table(floor, statuses, title), refresh=True)
            if plugged and summary is None and floor.ended(statuses):
                summary = await floor.summary(statuses, time.monotonic() - plugged)
                if once:
                    return summary
                _print(console, summary)
                console.print("The floor runs on until Ctrl-C; look at a device with")
                console.print(f"  p2pupd status --watch --config {floor.peers[0].config_file}")
            if summary is None and time.monotonic() > deadline:
                raise UpdateError(_stuck(floor, statuses))
            await asyncio.sleep(REFRESH)


def _stuck(floor: Floor, statuses: dict[str, Any]) -> str:
    late = [each for each in floor.everyone if phase_of(statuses.get(each.name)) == "off"]
    tail = (late or floor.everyone)[0].tail()
    return f"the floor was not done within {TIMEOUT:.0f} s; the end of one log:\n{tail}"


def _table(floor: Floor, statuses: dict[str, Any], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("device", "release", "phase", "artifact", "sent", "peers"):
        table.add_column(heading, no_wrap=True)
    for each in floor.everyone:
        status = statuses.get(each.name)
        phase = phase_of(status)
        transfers = status["transfers"] if status else []
        if not each.installs and transfers:
            phase = transfers[0]["state"]
        installed = status["installed"] if status else None
        table.add_row(
            each.name,
            str(installed["release"]) if installed and "release" in installed else "",
            Text(phase, COLOURS.get(phase, "cyan")),
            ProgressBar(floor.size, _stored(status), width=20),
            size(sum(transfer["bytes"]["sent"] for transfer in transfers)) if transfers else "",
            str(status["neighbours"]) if status else "",
        )
    return table


def _stored(status: dict[str, Any] | None) -> int:
    """Bytes of the artifact that the device has; its store is for this one only."""
    if status is None:
        return 0
    running = sum(int(transfer["done"]) for transfer in status["transfers"])
    deployment = status["deployment"]
    past = deployment and deployment["phase"] in ("armed", "trial", "confirmed", "reverted")
    return int(deployment["release"]["length"]) if past else running


def _print(console: Console, summary: Summary) -> None:
    per_image = summary.from_seed / summary.size
    table = Table.grid(padding=(0, 2))
    console.print()
    table.add_row("time", f"{summary.seconds:.1f} s from plugging in the stick")
    table.add_row("from the seed", f"{size(summary.from_seed)} ({per_image:.2f} images)")
    table.add_row("between peers", size(summary.between_peers))
    table.add_row("results", f"{summary.confirmed} confirmed, {summary.rolled_back} rolled back")
    for each in summary.others:
        table.add_row("", Text(each, "red"))
    console.print(table)
