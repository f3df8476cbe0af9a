"""`config show`, `config check` and `config reference`."""

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click

from p2pupd.cli.options import configuration_options, json_option, print_json
from p2pupd.config.load import Config
from p2pupd.config.reference import page
from p2pupd.config.structure import plain


@click.group(epilog="Example: p2pupd config show")
def config() -> None:
    """Show or check the configuration."""


@config.command(epilog="Example: p2pupd config show --json")
@configuration_options
@json_option
def show(load: Callable[[], Config], as_json: bool) -> None:
    """Print every setting, its value, and where the value came from."""
    loaded = load()
    rows = list(_rows(loaded))
    if as_json:
        print_json([{"key": key, "value": value, "origin": origin} for key, value, origin in rows])
        return
    width = max(len(f"{key} = {_shown(value)}") for key, value, _ in rows)
    for key, value, origin in rows:
        line = f"{key} = {_shown(value)}"
        click.echo(f"{line:<{min(width, 72)}}  # {origin}")


@config.command(epilog="Example: p2pupd config check --config config.toml")
@configuration_options
def check(load: Callable[[], Config]) -> None:
    """Read the whole configuration and report every mistake. Exits 3 if there is one."""
    loaded = load()
    click.echo(f"the configuration is valid; control socket {loaded.control_socket}")


@config.command(epilog="Example: p2pupd config reference > configuration.md")
def reference() -> None:
    """Print what every setting means, with its type and default, in Markdown."""
    click.echo(page(), nl=False)


def _rows(loaded: Config) -> list[tuple[str, Any, str]]:
    rows = []
    for section in fields(loaded.settings):
        values = plain(getattr(loaded.settings, section.name))
        for key, value in values.items():
            dotted = f"{section.name}.{key}"
            rows.append((dotted, value, loaded.origins.get(dotted, "default")))
    return rows


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
