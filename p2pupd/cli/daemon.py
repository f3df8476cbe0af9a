"""`daemon`: run p2pupd on this device."""

from collections.abc import Callable

import click

from p2pupd.cli.options import configuration_options
from p2pupd.config.load import Config


@click.command(epilog="Example: p2pupd daemon --config /etc/p2pupd/config.toml")
@configuration_options
@click.option(
    "--log-format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    help="auto: journald priorities under systemd, text otherwise.",
)
@click.option("--debug", is_flag=True, help="Log everything, also what only builders read.")
def daemon(load: Callable[[], Config], log_format: str, debug: bool) -> None:
    """Find neighbours, share releases, install, prove, report. Ends on SIGTERM or SIGINT."""
    from p2pupd.running import run_daemon  # noqa: PLC0415 - imports libtorrent and aiohttp

    run_daemon(load(), log_format=log_format, debug=debug)
