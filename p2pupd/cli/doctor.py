"""`doctor`: examine this device and its network; say what is wrong, and what to do."""

import textwrap
from collections.abc import Callable
from dataclasses import asdict

import click

from p2pupd.cli.examination import examine
from p2pupd.cli.finding import Finding, Verdict
from p2pupd.cli.options import configuration_options, json_option, print_json
from p2pupd.config.load import Config

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
NAME_WIDTH = 22


@click.command(epilog="Example: p2pupd doctor --config /etc/p2pupd/config.toml")
@configuration_options
@json_option
@click.option(
    "--listen",
    "seconds",
    type=click.FloatRange(0.1, 60),
    default=2.5,
    show_default=True,
    help="Seconds to listen for other hosts' multicast.",
)
@click.pass_context
def doctor(
    context: click.Context, load: Callable[[], Config], as_json: bool, seconds: float
) -> None:
    """Examine configuration, trust, disk, slots, clock, network and daemon.

    Changes nothing. Exits 1 if anything fails; a warning alone exits 0.
    """
    findings: list[Finding] = []
    for each in examine(load, seconds):
        findings.append(each)
        if not as_json:
            mark = click.style(f"{each.verdict:<5}", fg=COLOURS[each.verdict])
            click.echo(f"{mark} {each.check:<{NAME_WIDTH}} {each.says}")
            if each.advice:
                click.echo(textwrap.indent(f"-> {each.advice}", " " * (NAME_WIDTH + 7)))
    if as_json:
        print_json([asdict(each) for each in findings])
    context.exit(int(any(each.verdict is Verdict.FAIL for each in findings)))
