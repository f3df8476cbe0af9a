"""`repo show --results STICK`: what came home from the floors."""

import time
from pathlib import Path

import click
from rich.console import Console

from p2pupd.cli.fleet import page
from p2pupd.cli.options import print_json
from p2pupd.publisher.results import results


def show_results(path: Path, *, as_json: bool) -> None:
    """Print the newest word of each device. Raises as `publisher.results.results` does."""
    found = results(path, time.time())
    if as_json:
        print_json(found)
        return
    for realm, devices in found["floors"].items():
        click.echo(f"realm {realm}")
        Console().print(page(devices, time.time()))
    if dropped := found["dropped"]:
        reasons = ", ".join(f"{number} {reason}" for reason, number in dropped.items())
        click.echo(f"left out: {reasons}", err=True)
