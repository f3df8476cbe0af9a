"""`why`, `approve`, `defer`: whose turn it is, and what its operator says to that."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click
from rich.console import Console
from rich.text import Text

from p2pupd.api.control_client import ControlClient
from p2pupd.cli.options import Duration, device_options, json_option, print_json, reading_options


@click.command(epilog="Example: p2pupd why bqa4tze")
@reading_options
@json_option
@click.argument("device", required=False)
def why(client_of: Callable[[], ControlClient], device: str | None, as_json: bool) -> None:
    """Name every gate that holds a release back, on this device or on DEVICE (the beginning of its
    id)."""
    target = "/v1/why" if device is None else f"/v1/why?device={quote(device)}"
    found = client_of().get(target)
    if as_json:
        print_json(found)
        return
    Console().print(_page(found), soft_wrap=True)


def _page(found: dict[str, Any]) -> Text:
    text = Text(f"{found['device'][:14]}…  ", "bold")
    release = found["release"]
    if release is None:
        text.append("no release is meant for it", "default not bold")
    else:
        label = f"{release['component']} {release['version']} (release {release['release']})"
        text.append(label, "default not bold")
    for each in (found["phase"], found["stage"]):
        if each:
            text.append(f", {each}", "default not bold")
    for gate in found["gates"]:
        text.append(f"\n{gate['code']}: ", "not bold yellow")
        text.append(gate["detail"], "default not bold")
        if gate["until"] is not None:
            when = time.strftime("%a %d %b %H:%M:%S", time.localtime(gate["until"]))
            text.append(f" ({when})", "default not bold")
    if not found["gates"]:
        text.append("\nnothing holds it back", "not bold green")
    return text


@click.command(epilog="Example: p2pupd approve 7")
@device_options
@click.argument("release", type=click.IntRange(min=0), required=False)
@click.option("--again", is_flag=True, help="Allow it although it has failed here before.")
@click.option(
    "--ahead", is_flag=True, help="Install it out of turn too: before its wave, outside windows."
)
def approve(
    client_of: Callable[[], ControlClient], release: int | None, again: bool, ahead: bool
) -> None:
    """Consent to the installation that waits, or to RELEASE ahead of time."""
    body: dict[str, Any] = {"again": again, "ahead": ahead}
    if release is not None:
        body["release"] = release
    click.echo(client_of().post("/v1/approve", body)["said"])


@click.command(epilog="Example: p2pupd defer --for 4h")
@device_options
@click.option("--for", "seconds", type=Duration(), help="For how long (site.deferral).")
def defer(client_of: Callable[[], ControlClient], seconds: float | None) -> None:
    """Put off the installation that waits or is on its way: as often as site.deferrals allows, and
    until the release's deadline."""
    body = {} if seconds is None else {"seconds": seconds}
    click.echo(client_of().post("/v1/defer", body)["said"])
