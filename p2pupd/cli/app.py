"""The command `p2pupd`: finds a command's module when it is called, and turns errors into exits."""

import importlib
import sys
from typing import Any, Final

import click

from p2pupd import __version__
from p2pupd.errors import UpdateError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("p2pupd.cli.demo:demo", "A whole floor on this machine."),
    "daemon": ("p2pupd.cli.daemon:daemon", "Run p2pupd on this device."),
    "status": ("p2pupd.cli.device:status", "What this device runs and does."),
    "peers": ("p2pupd.cli.device:peers", "The neighbours of this device."),
    "fleet": ("p2pupd.cli.fleet:fleet", "Every device of the floor."),
    "check": ("p2pupd.cli.device:check", "Ask every source again, now."),
    "why": ("p2pupd.cli.turn:why", "Every gate that holds a device back."),
    "approve": ("p2pupd.cli.turn:approve", "Consent to an installation."),
    "defer": ("p2pupd.cli.turn:defer", "Put an installation off."),
    "rollback": ("p2pupd.cli.device:rollback", "Go back to the release before."),
    "pause": ("p2pupd.cli.line:pause", "Stop moving payload for a while."),
    "resume": ("p2pupd.cli.line:resume", "End the pause."),
    "reload": ("p2pupd.cli.line:reload", "Read the configuration again."),
    "import": ("p2pupd.cli.transfer:import_", "Take in a stick or a repository."),
    "export": ("p2pupd.cli.transfer:export", "Write a stick from this device."),
    "doctor": ("p2pupd.cli.doctor:doctor", "Find out what is wrong with this device."),
    "config": ("p2pupd.cli.config:config", "Show or check the configuration."),
    "site": ("p2pupd.cli.site:site", "An operator's orders to a whole site."),
    "repo": ("p2pupd.cli.repo:repo", "Keys, releases, signing, sticks."),
    "tuf-client": ("p2pupd.cli.tuf_client:tuf_client", "The verifier, for test suites."),
}

EXIT_CODES: Final = """\b
Exit codes:
  0 done                    13 fetch failed
  1 failed                  14 untrusted or damaged
  2 usage                   15 not a p2pupd repository
  3 configuration           60 no space
  4 nothing to do          100 reboot required
  5 daemon not reachable   102 downgrade refused
 12 metadata expired       110 rolled back
130 interrupted            120 rollback pending

Example: p2pupd demo --once"""
INTERRUPTED: Final = 130


class _Commands(click.Group):
    """Imports a command only when it is used, so that `status` does not wait for libtorrent."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(
    cls=_Commands,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="p2pupd")
def app() -> None:
    """One seed updates the whole floor: signed releases, offline, with automatic return."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its documented code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """The exit code of `p2pupd ARGUMENTS`. Expected errors go to standard error."""
    try:
        result: Any = app.main(arguments, prog_name="p2pupd", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except UpdateError as error:
        for line in str(error).splitlines():
            click.echo(f"p2pupd: {line}", err=True)
        return error.code
