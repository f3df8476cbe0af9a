"""`fleet`: every device of the floor, as any one of them knows it."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from p2pupd.api.control_client import ControlClient
from p2pupd.cli.device import COLOURS
from p2pupd.cli.options import json_option, print_json, reading_options
from p2pupd.cli.watching import show

STATES = {"here": "this one", "now": "now", "heard": "by others", "silent": "silent"}


@click.command(epilog="Example: p2pupd fleet --watch")
@reading_options
@json_option
@click.option("--watch", is_flag=True, help="Keep the list current until Ctrl-C.")
def fleet(client_of: Callable[[], ControlClient], as_json: bool, watch: bool) -> None:
    """List every device of the floor: what it runs, what it does, when it was heard of last."""
    client = client_of()
    if as_json:
        print_json(client.get("/v1/fleet"))
        return
    show(lambda: page(client.get("/v1/fleet"), time.time()), watch)


def page(devices: list[dict[str, Any]], now: float) -> RenderableType:
    """The table of all devices, and how many are silent."""
    table = Table("device", "model", "groups", "runs", "deployment", "last result", "heard")
    for each in devices:
        table.add_row(
            each["id"][:14] + "…",
            Text(each["model"] or ", ".join(each["hardware"])),
            Text(", ".join(each["groups"])),
            Text("\n".join(f"{had['component']} {had['version']}" for had in each["components"])),
            _deployment(each["deployment"]),
            _result(each["history"]),
            _heard(each, now),
        )
    found = Counter(each["state"] for each in devices)
    summary = f"{len(devices)} device(s), {found['silent']} silent"
    return Group(table, Text(summary, "yellow" if found["silent"] else ""))


def _deployment(deployment: dict[str, Any] | None) -> Text:
    if deployment is None:
        return Text("")
    phase = deployment["phase"]
    text = Text(phase, COLOURS.get(phase, "cyan"))
    text.append(f" {deployment['version']}", "default")
    if deployment["done"]:
        text.append(f" {100 * deployment['done'] // deployment['length']} %", "default")
    if deployment["reason"]:
        text.append(f"\n{deployment['reason']}", "yellow")
    return text


def _result(history: list[dict[str, Any]]) -> Text:
    if not history:
        return Text("")
    last = history[0]
    text = Text(last["phase"], COLOURS.get(last["phase"], "cyan"))
    text.append(f" {last['version']}", "default")
    if last["reason"]:
        text.append(f"\n{last['reason']}", "yellow")
    return text


def _heard(device: dict[str, Any], now: float) -> Text:
    if device["state"] != "silent":
        return Text(STATES[device["state"]])
    return Text(f"silent for {_ago(now - device['last_sign'])}", "yellow")


def _ago(seconds: float) -> str:
    """`90 s`, `15 min`, `7 h`, `3 d`: the largest unit of which there are at least two."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
