"""`pause`, `resume`, `reload`: care for the line. What holds at the moment, `status` tells."""

from collections.abc import Callable

import click

from p2pupd.api.control_client import ControlClient
from p2pupd.cli.options import Duration, device_options


@click.command(epilog="Example: p2pupd pause --for 2h")
@device_options
@click.option(
    "--for", "seconds", type=Duration(), help="End by itself after e.g. 90s, 15m, 2h or 1d."
)
def pause(client_of: Callable[[], ControlClient], seconds: float | None) -> None:
    """Stop moving payload on this device, over restarts too, until `resume`."""
    body = {} if seconds is None else {"seconds": seconds}
    click.echo(client_of().post("/v1/pause", body)["said"])


@click.command(epilog="Example: p2pupd resume")
@device_options
def resume(client_of: Callable[[], ControlClient]) -> None:
    """End the pause. Exits 4 when nothing is paused."""
    click.echo(client_of().post("/v1/resume")["said"])


@click.command(epilog="Example: p2pupd reload")
@device_options
def reload(client_of: Callable[[], ControlClient]) -> None:
    """Let the daemon read its configuration again and tell what needs a restart.

    Exits 3 with every mistake; then nothing has changed.
    """
    click.echo(client_of().post("/v1/reload")["said"])
