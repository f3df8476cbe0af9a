"""Options that the measurements share, and how their mistakes are told."""

import asyncio
import json
import os
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from scenarios.bench.alternatives import ALTERNATIVES
from scenarios.bench.contender import Contender
from scenarios.bench.course import BenchError
from scenarios.bench.product import P2pupd

CONTENDERS: Final[dict[str, Contender]] = {"p2pupd": P2pupd(), **ALTERNATIVES}
FILE: Final = click.Path(path_type=Path)
UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

T = TypeVar("T")
Settings = dict[str, dict[str, Any]]


class Size(click.ParamType[Any]):
    """Bytes, as 32M."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        found = re.fullmatch(r"([1-9][0-9]*)([KMG]?)", str(value))
        if found is None:
            self.fail(f"{value}: write bytes as 1048576, 512K, 32M or 1G", param, ctx)
        return int(found[1]) * UNITS[found[2]]


class Contenders(click.ParamType[Any]):
    """Names, separated by commas."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(str(value).split(",")))
        for each in names:
            if each not in CONTENDERS:
                self.fail(f"{each} is none of {', '.join(CONTENDERS)}", param, ctx)
            if lacking := CONTENDERS[each].missing():
                self.fail(f"{each} needs {lacking}, which is not installed", param, ctx)
        return names


class Setting(click.ParamType[Any]):
    """SECTION.KEY=VALUE."""

    name = "section.key=value"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str, Any]:
        found = re.fullmatch(r"(\w+)\.(\w+)=(.*)", str(value))
        if found is None:
            self.fail(f"{value}: write SECTION.KEY=VALUE", param, ctx)
        try:
            return found[1], found[2], json.loads(found[3])
        except ValueError:
            return found[1], found[2], found[3]


def _merged(_: object, __: object, given: tuple[tuple[str, str, Any], ...]) -> Settings:
    merged: Settings = {}
    for section, key, value in given:
        merged.setdefault(section, {})[key] = value
    return merged


COMMON: Final = (
    click.option("--json", "output", type=FILE, help="Append a line for each round."),
    click.option("--label", default="", help="A word for the lines of JSON."),
    click.option(
        "--settle",
        type=click.FloatRange(0),
        default=60,
        show_default=True,
        help="Seconds to wait at most for a quiet machine, before each start.",
    ),
    click.option(
        "--set",
        "settings",
        type=Setting(),
        multiple=True,
        callback=_merged,
        metavar="SECTION.KEY=VALUE",
        help="Configuration of every p2pupd daemon; repeatable.",
    ),
)


def plan_options(
    devices: int, rate: int, size: str, rounds: int = 1
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options that make a Plan, with a measurement's defaults; `rate` 0 is unshaped."""
    shown: dict[str, Any] = {"show_default": True}
    options = [
        click.option("--devices", type=click.IntRange(1, 200), default=devices, **shown),
        click.option(
            "--rate",
            type=click.IntRange(0, 100_000),
            default=rate,
            callback=lambda _, __, value: value or None,
            help="Mbit/s of each link, both ways; 0: as fast as it goes.",
            **shown,
        ),
        click.option("--size", type=Size(), default=size, **shown),
        click.option("--rounds", type=click.IntRange(1), default=rounds, **shown),
        *COMMON,
    ]

    def add(function: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def measure(work: Coroutine[Any, Any, T]) -> T:
    """Do it; its result. What makes that impossible is told in a line."""
    if os.geteuid() != 0:
        work.close()
        raise click.ClickException("network namespaces need root")
    try:
        return asyncio.run(work)
    except (BenchError, AssertionError, ExceptionGroup) as error:
        first = first_of(error)
        if isinstance(first, BenchError | AssertionError):
            raise click.ClickException(str(first)) from error
        raise


def first_of(error: BaseException) -> BaseException:
    """What went wrong first, out of nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
