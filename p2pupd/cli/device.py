"""`status`, `peers`, `check`, `rollback`: what an operator asks of a device."""

import time
from collections.abc import Callable
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from p2pupd.api.control_client import ControlClient
from p2pupd.cli.options import device_options, json_option, print_json, reading_options
from p2pupd.cli.watching import show, size

WHY_STOPPED = {
    "paused": "paused by the operator",
    "outside-windows": "outside of transfer windows",
}
SOURCES = ("lan", "uplink", "usb", "reuse")
REUSE_STAGES = {
    "asking": "asks what is in the pack",
    "searching": "looks for it in what is here, {} so far",
    "building": "makes",
    "over": "of the pack",
}
UNDER_WAY = {"fetching", "importing"}
ROLLBACK_PENDING = 120

COLOURS = {
    "confirmed": "green",
    "reverted": "red",
    "reverting": "red",
    "refused": "yellow",
    "failed": "red",
    "complete": "green",
    "interrupted": "yellow",
}


@click.command(epilog="Example: p2pupd status --watch")
@reading_options
@json_option
@click.option("--watch", is_flag=True, help="Keep the picture current until Ctrl-C.")
def status(client_of: Callable[[], ControlClient], as_json: bool, watch: bool) -> None:
    """Show what this device runs, what it is doing, and why it does not."""
    client = client_of()
    if as_json:
        print_json(client.get("/v1/status"))
        return
    show(lambda: _status_page(client.get("/v1/status")), watch)


@click.command(epilog="Example: p2pupd peers --json")
@reading_options
@json_option
@click.option("--watch", is_flag=True, help="Keep the list current until Ctrl-C.")
def peers(client_of: Callable[[], ControlClient], as_json: bool, watch: bool) -> None:
    """List the neighbours that this device knows."""
    client = client_of()
    if as_json:
        print_json(client.get("/v1/peers"))
        return
    show(lambda: _peers_table(client.get("/v1/peers")), watch)


@click.command(epilog="Example: p2pupd check")
@device_options
def check(client_of: Callable[[], ControlClient]) -> None:
    """Ask neighbours and the uplink again, now, whether there is a release."""
    click.echo(client_of().post("/v1/check")["said"])


@click.command(epilog="Example: p2pupd rollback")
@device_options
@click.pass_context
def rollback(context: click.Context, client_of: Callable[[], ControlClient]) -> None:
    """Go back to the release that ran before. Exits 120: the reboot is on its way."""
    click.echo(client_of().post("/v1/rollback")["said"])
    context.exit(ROLLBACK_PENDING)


def _status_page(status: dict[str, Any]) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column()
    for name, value in _facts(status):
        facts.add_row(name, value)
    parts: list[RenderableType] = [facts]
    if transfers := [*status["transfers"], *_kept(status)]:
        parts += [Text(), _transfers(transfers)]
    return Group(*parts)


def _facts(status: dict[str, Any]) -> list[tuple[str, RenderableType]]:
    rows: list[tuple[str, RenderableType]] = [
        ("device", f"{status['device'][:14]}…  ({status['role']}, realm {status['realm']})"),
        ("installed", _installed(status["installed"])),
        ("manifest", _manifest(status["manifest"])),
        ("deployment", _deployment(status["deployment"])),
        ("store", "{} used, {} free".format(*(size(status["store"][k]) for k in ("used", "free")))),
    ]
    rows.append(("site", _site(status["site"])))
    rows.append(("payload", _payload(status["limits"])))
    rows += [("source", f"{name}: {state}") for name, state in status["sources"].items()]
    if uplink := status["uplink"]:
        rows.append(("uplink", _uplink(uplink)))
    if refused := status.get("refused"):
        said = f"{refused['source']}: {refused['reason']}: {refused['detail']}"
        rows.append(("refused", Text(said, "yellow")))
    rows += [
        ("warning", Text(each, "yellow")) for each in (status["manifest"] or {}).get("warnings", [])
    ]
    rows += [
        ("not again", f"release {each['release']} ({each['reason']})") for each in status["bad"]
    ]
    return rows


def _site(site: dict[str, Any]) -> Text:
    """How many devices are known, and whether the stick has done its work."""
    text = Text(f"{site['devices']} device(s)")
    if site["silent"]:
        text.append(f", {site['silent']} silent", "yellow")
    for each in site["copies"]:
        said = f"{each['held']} of {each['needed']} copies without the seed"
        text.append(f"\n{each['component']} {each['version']}: {said}")
    if site["stick_may_go"]:
        text.append("\nyou may remove the stick now", "green")
    return text


def _uplink(uplink: dict[str, Any]) -> RenderableType:
    used = f"{size(uplink['month_bytes'])} in {uplink['month']}"
    if uplink["monthly"]:
        used += f" of {size(uplink['monthly'])}"
    if uplink["rate"]:
        used += f", at most {size(uplink['rate'])}/s"
    text = Text(f"{uplink['url']}  {used}")
    if not uplink["available"]:
        text.append(f"\n{uplink['error'] or 'not asked yet'}", "yellow")
    return text


def _payload(limits: dict[str, Any]) -> Text:
    """Whether payload moves, within which limits, or why it does not and until when."""
    text = Text("moves") if limits["moving"] else Text(WHY_STOPPED[limits["reason"]], "yellow")
    until = limits["until"]
    if until is not None:
        text.append(time.strftime(" until %a %d %b %H:%M", time.localtime(until)))
    if limits["exempt"]:
        text.append(f", but {limits['exempt']} emergency release(s)")
    for way in ("upload", "download"):
        if limits[way]:
            text.append(f", {way} at most {size(limits[way])}/s")
    return text


def _installed(installed: dict[str, Any] | None) -> str:
    if installed is None:
        return "nothing is installed by p2pupd here"
    if "error" in installed:
        return f"unknown: {installed['error']}"
    return (
        f"{installed['component']} {installed['version']} (release {installed['release']}) "
        f"in slot {installed['slot']}"
    )


def _manifest(manifest: dict[str, Any] | None) -> str:
    if manifest is None:
        return "none yet"
    return (
        f"{manifest['digest'][:16]}, timestamp {manifest['timestamp_version']}, "
        f"{len(manifest['releases'])} release(s)"
    )


def _deployment(deployment: dict[str, Any] | None) -> RenderableType:
    if deployment is None:
        return "none yet"
    phase = deployment["phase"]
    text = Text(phase, COLOURS.get(phase, "cyan"))
    if deployment["release"]:
        release = deployment["release"]
        text.append(f"  {release['component']} {release['version']} (release {release['release']})")
    progress = deployment.get("progress") or {"done": 0, "length": 0}
    if progress["done"] and progress["length"]:
        text.append(f"  {100 * progress['done'] // progress['length']} %")
    if deployment["reason"]:
        text.append(f"\n{deployment['reason']}: {deployment['detail']}", "yellow")
    return text


def _kept(status: dict[str, Any]) -> list[dict[str, Any]]:
    """What is complete since before the daemon's start, told as the transfers since then are."""
    since = {each["sha256"] for each in status["transfers"]}
    return [
        (each["release"] or {"component": "artifact", "version": each["sha256"][:12]})
        | {"state": "complete", "done": each["length"], "length": each["length"]}
        | {"reason": "", "bytes": each["bytes"]}
        for each in status["stored"]
        if each["verified"] and each["sha256"] not in since
    ]


def _transfers(transfers: list[dict[str, Any]]) -> Text:
    """Two lines or three each: where it stands, where its bytes came from, what is wrong."""
    text = Text("transfers", "bold")
    for each in transfers:
        state = each["state"]
        done = 100 * each["done"] // max(each["length"], 1)
        text.append(f"\n{each['component']} {each['version']}  ", "default not bold")
        text.append(state, f"not bold {COLOURS.get(state, 'cyan')}")
        facts = f"  {done} %"
        if state in UNDER_WAY:
            facts += f"{_from(each)}  {size(each['rate'])}/s"
        text.append(facts, "default not bold")
        if moved := _moved(each["bytes"]):
            text.append(f"\n  {moved}", "default not bold")
        if state in UNDER_WAY and each["source"] not in ("", "lan"):
            text.append(f"\n  reads {each['source']}", "default not bold")
        if reused := _reused(each.get("reuse")):
            text.append(f"\n  {reused}", "default not bold")
        if each["reason"]:
            text.append(f"\n  {each['reason']}: {each['detail']}", "not bold yellow")
    return text


def _reused(reuse: dict[str, Any] | None) -> str:
    """What is made of older packs and the slot: how far it is, what was expected and what came."""
    if reuse is None:
        return ""
    parts = [
        f"{origin} {size(reuse['real'][origin])} (expected {size(expected)})"
        for origin, expected in reuse["expected"].items()
        if expected
    ]
    stage = REUSE_STAGES[reuse["stage"]]
    if reuse["stage"] == "searching":
        stage = stage.format(size(reuse["done"]))
    return f"{stage}: {', '.join(parts)}" if parts else stage


def _from(transfer: dict[str, Any]) -> str:
    """How many neighbours bring it too, unless there are none and somebody else does."""
    alone = not transfer["peers"] and transfer["source"] not in ("", "lan")
    return "" if alone else f"  {transfer['peers']} peer(s)"


def _moved(counts: dict[str, int]) -> str:
    """`from lan 12.0 MiB, usb 52.0 MiB; sent 3.0 MiB`: only what there is of it."""
    came = ", ".join(f"{each} {size(counts[each])}" for each in SOURCES if counts[each])
    parts = [f"from {came}"] if came else []
    parts += [f"{each} {size(counts[each])}" for each in ("sent", "wasted") if counts[each]]
    return "; ".join(parts)


def _peers_table(peers: list[dict[str, Any]]) -> Table:
    table = Table("device", "address", "role", "manifest", "uplink", "found by")
    for each in peers:
        table.add_row(
            each["id"][:14] + "…",
            f"{each['host']}:{each['port']}",
            each["role"],
            each["manifest"] or "none",
            "yes" if each["uplink"] else "",
            each["source"],
        )
    return table
