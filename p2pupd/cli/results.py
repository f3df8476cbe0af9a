"""`repo show --results STICK`: what came home from the floors."""

import time
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from p2pupd.cli.fleet import page
from p2pupd.cli.options import print_json
from p2pupd.publisher.results import results

SHOWN_LINES: Final = 3
SHOWN_DIGITS: Final = 14


def show_results(path: Path, *, as_json: bool) -> None:
    """Print the newest word of each device. Raises as `publisher.results.results` does."""
    found = results(path, time.time())
    if as_json:
        print_json(found)
        return
    for realm, devices in found["floors"].items():
        click.echo(f"realm {realm}")
        Console().print(page(devices, time.time()))
        _print_logs(found["logs"][realm], len(devices))
    if dropped := found["dropped"]:
        reasons = ", ".join(f"{number} {reason}" for reason, number in dropped.items())
        click.echo(f"left out: {reasons}", err=True)


def _print_logs(logs: dict[str, Any], devices: int) -> None:
    """The newest lines of each device that has a log here."""
    click.echo(f"logs of {len(logs)} of {devices} device(s), their newest lines; all by --json")
    for device, book in logs.items():
        for line in book["lines"][-SHOWN_LINES:]:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line["at"]))
            fields = " ".join(f"{name}={text}" for name, text in line["fields"].items())
            click.echo(f"{device[:SHOWN_DIGITS]}  {when}  {line['event']} {fields}".rstrip())
