"""Options that several commands share: where the configuration is, how to print."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from p2pupd.api.control_client import ControlClient
from p2pupd.config.load import Config, load_config

R = TypeVar("R")


def configuration_options(command: Callable[..., R]) -> Callable[..., R]:
    """`--config`, `--state-dir`, `--set`: the command gets `load: Callable[[], Config]`."""

    @click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        help="Configuration file instead of /etc/p2pupd/config.toml.",
    )
    @click.option(
        "--state-dir",
        type=click.Path(path_type=Path, file_okay=False),
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
        def load() -> Config:
            return load_config(config_file, state_dir=state_dir, overrides=overrides)

        return command(*args, load=load, **others)

    return wrapper


def device_options(command: Callable[..., R]) -> Callable[..., R]:
    """The same options; the command gets `client_of: Callable[[], ControlClient]`."""

    @configuration_options
    @functools.wraps(command)
    def wrapper(*args: Any, load: Callable[[], Config], **others: Any) -> R:
        return command(*args, client_of=lambda: control_client(load()), **others)

    return wrapper


def control_client(config: Config) -> ControlClient:
    """The client of the daemon that runs with this configuration."""
    return ControlClient(config.control_socket)


json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


def print_json(value: Any) -> None:
    """Stable, indented JSON on standard output."""
    click.echo(json.dumps(value, indent=2, sort_keys=True))
