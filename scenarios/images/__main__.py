"""`python -m scenarios.images`: build consecutive Debian images, measure their updates."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Final

import click

from scenarios.images import build as building
from scenarios.images import measure as measuring
from scenarios.images import tables as shown
from scenarios.images.commands import ImagesError
from scenarios.images.contenders import RIVALS, Contender
from scenarios.images.formats import BY_NAME, FORMATS, Format
from scenarios.images.product import P2pupd

DIRECTORY: Any = click.Path(path_type=Path, file_okay=False)
FILE: Any = click.Path(path_type=Path, dir_okay=False)
CONTENDERS: Final[dict[str, Contender]] = {
    each.name: each for each in (P2pupd(), *RIVALS, P2pupd("p2pupd from the slot", from_slot=True))
}
CAREFUL: Final = ",".join(each.name for each in FORMATS if not each.careless)


class Names(click.ParamType[Any]):
    """Names of things of one kind, separated by commas; `kind` is by name."""

    name = "names"

    def __init__(self, kind: Mapping[str, Any]) -> None:
        self._kind = kind

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(str(value).split(",")))
        for each in names:
            if each not in self._kind:
                self.fail(f"{each} is none of {', '.join(self._kind)}", param, ctx)
        return tuple(self._kind[each] for each in names)


@click.group()
def images() -> None:
    """Consecutive Debian images, and what an update costs on the wire."""


@images.command(epilog="Example: python -m scenarios.images build /var/tmp/images")
@click.argument("directory", type=DIRECTORY)
@click.option("--formats", type=Names(BY_NAME), default=",".join(BY_NAME), show_default=True)
def build(*, directory: Path, formats: tuple[Format, ...]) -> None:
    """Build what DIRECTORY lacks. Needs root, the network, and about 15 GB."""
    with _told():
        building.build(directory.resolve(), formats, click.echo)


@images.command(epilog="Example: python -m scenarios.images measure /var/tmp/images --formats tar")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--formats", type=Names(BY_NAME), default=CAREFUL, show_default=True)
@click.option(
    "--with", "contenders", type=Names(CONTENDERS), default=",".join(CONTENDERS), show_default=True
)
@click.option("--json", "output", type=FILE, help="Put the figures into this file, too.")
def measure(
    *,
    directory: Path,
    formats: tuple[Format, ...],
    contenders: tuple[Contender, ...],
    output: Path | None,
) -> None:
    """Every contender on every update, of the images that `build` made in DIRECTORY."""
    found: list[measuring.Measured] = []
    with _told():
        for form, contender in product(formats, contenders):
            new = measuring.measure(directory.resolve(), form.name, contender, click.echo)
            found += new
            if output is not None:
                measuring.write(output, new)
    _show(found)


@images.command(epilog="Example: python -m scenarios.images tables figures.json")
@click.argument(
    "figures",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    nargs=-1,
    required=True,
)
def tables(*, figures: tuple[Path, ...]) -> None:
    """The tables of docs/deltas.md, from what `measure --json` wrote."""
    with _told():
        _show([each for path in figures for each in measuring.read(path)])


def _show(found: Iterable[measuring.Measured]) -> None:
    for line in shown.tables(found):
        click.echo(line)


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong is told in a line."""
    try:
        yield
    except ImagesError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    sys.exit(images())
