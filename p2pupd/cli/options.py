"""Options that several commands share: where the configuration is, how to print."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from p2pupd.api.control_client import ControlClient
from p2pupd.config.load import Location, find_control, load_config
from p2pupd.config.structure import duration
from p2pupd.errors import ConfigError

R = TypeVar("R")


class Duration(click.ParamType[float]):
    """A duration as in the configuration, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _places(command: Callable[..., R]) -> Callable[..., R]:
    """`--config`, `--state-dir`, `--set`: the command gets `where`, load_config's arguments."""

    @click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, readable=False),
        help="Configuration file instead of /etc/p2pupd/config.toml.",
    )
    @click.option(
        "--state-dir",
        type=click.Path(path_type=Path, file_okay=False, readable=False),
        help="State directory; same as --set device.state_dir=DIR.",
    )
    @click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="SECTION.KEY=VALUE",
        help="Override one setting; may be repeated.",
    )
    @functools.wraps(command)
    def wrapper(
        *args: Any,
        config_file: Path | None,
        state_dir: Path | None,
        overrides: tuple[str, ...],
        **others: Any,
    ) -> R:
        where = {"config_file": config_file, "state_dir": state_dir, "overrides": overrides}
        return command(*args, where=where, **others)

    return wrapper


def configuration_options(command: Callable[..., R]) -> Callable[..., R]:
    """`--config`, `--state-dir`, `--set`: the command gets `load: Callable[[], Config]`."""

    @_places
    @functools.wraps(command)
    def wrapper(*args: Any, where: dict[str, Any], **others: Any) -> R:
        return command(*args, load=lambda: load_config(**where), **others)

    return wrapper


def device_options(command: Callable[..., R]) -> Callable[..., R]:
    """The same options; the command gets `client_of: Callable[[], ControlClient]`."""

    @_places
    @functools.wraps(command)
    def wrapper(*args: Any, where: dict[str, Any], **others: Any) -> R:
        return command(*args, client_of=lambda: control_client(find_control(**where)), **others)

    return wrapper


def reading_options(command: Callable[..., R]) -> Callable[..., R]:
    """As `device_options`, for commands that change nothing: the daemon may be guessed."""

    @_places
    @functools.wraps(command)
    def wrapper(*args: Any, where: dict[str, Any], **others: Any) -> R:
        def client_of() -> ControlClient:
            return control_client(find_control(**where), guess=True)

        return command(*args, client_of=client_of, **others)

    return wrapper


def control_client(location: Location, *, guess: bool = False) -> ControlClient:
    """The client of the daemon there. Mistakes of its configuration are told on standard error.

    Raises ConfigError where they leave open which daemon is meant, unless whoever answers at the
    place that was read is a good `guess`.
    """
    client = ControlClient(location.socket)
    if not location.mistakes:
        return client
    if not location.certain and not (guess and client.answers()):
        raise ConfigError(location.mistakes)
    for line in location.mistakes.splitlines():
        click.echo(f"p2pupd: warning: {line}", err=True)
    click.echo(f"p2pupd: asking the daemon that runs, on {location.socket}", err=True)
    return client


json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


def print_json(value: Any) -> None:
    """Stable, indented JSON on standard output."""
    click.echo(json.dumps(value, indent=2, sort_keys=True))
