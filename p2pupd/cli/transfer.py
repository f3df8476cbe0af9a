"""`import` and `export`: releases in from a path, and out onto a stick."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from p2pupd.api.control_client import ControlClient
from p2pupd.cli.options import device_options, json_option, print_json
from p2pupd.errors import DaemonUnreachable


@click.command("import", epilog="Example: p2pupd import /media/stick")
@device_options
@json_option
@click.argument("path", type=click.Path(path_type=Path, readable=False))
@click.pass_context
def import_(
    context: click.Context, client_of: Callable[[], ControlClient], as_json: bool, path: Path
) -> None:
    """Take in the p2pupd repository at PATH (a stick, a directory) and share it.

    Exits with the reason's code when this device refuses what is there.
    """
    result = _follow(client_of(), "/v1/import", path, quiet=as_json)
    if as_json:
        print_json(result)
    else:
        for line in result["said"]:
            click.echo(line)
    context.exit(int(result["code"]))


@click.command(epilog="Example: p2pupd export /media/stick")
@device_options
@json_option
@click.argument("path", type=click.Path(path_type=Path, readable=False))
def export(client_of: Callable[[], ControlClient], as_json: bool, path: Path) -> None:
    """Write what this device carries to PATH: a stick that any p2pupd device accepts."""
    result = _follow(client_of(), "/v1/export", path, quiet=as_json)
    if as_json:
        print_json(result)
        return
    for line in result["said"]:
        click.echo(line)


def _follow(client: ControlClient, target: str, path: Path, *, quiet: bool) -> dict[str, Any]:
    """Show progress on a terminal until the result line comes."""
    lines = client.stream(target, {"path": str(path.absolute())})
    console = Console(stderr=True)
    result: dict[str, Any] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    shown = not quiet and console.is_terminal
    with Progress(*columns, console=console, disable=not shown) as bar:
        for done in _progress(lines, result):
            _update(bar, done)
    if not result:
        raise DaemonUnreachable(
            "the daemon ended before this was done; see `p2pupd status`, and type it again"
        )
    return result


def _progress(lines: Iterator[dict[str, Any]], result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if "result" in line:
            result.update(line["result"])
        elif "progress" in line:
            yield line["progress"]


def _update(bar: Progress, done: dict[str, Any]) -> None:
    name = str(done["release"])
    task = next((each for each in bar.tasks if each.description == name), None)
    number = bar.add_task(name, total=done["length"]) if task is None else task.id
    bar.update(number, completed=done["done"])
