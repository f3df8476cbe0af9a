"""Options of commands that sign: where the keys are, and what opens them."""

import functools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from p2pupd.errors import UsageError
from p2pupd.host.files import read_bounded
from p2pupd.publisher.authority import Signing
from p2pupd.publisher.keys import Ask, KeyRing, Sealer
from p2pupd.publisher.settings import PublisherSettings

PASSPHRASE_VARIABLE: Final = "P2PUPD_PASSPHRASE"  # noqa: S105 - its name, not its value
PASSPHRASE_LIMIT: Final = 4096
KEYS_SUFFIX: Final = "-keys"

R = TypeVar("R")
DIRECTORY: Final = click.Path(path_type=Path, file_okay=False, readable=False)


def keys_beside(repository: Path) -> Path:
    """Where the keys of a repository are unless --keys says otherwise: `REPOSITORY-keys`."""
    try:
        place = repository.resolve()
    except (OSError, RuntimeError):
        place = repository.absolute()
    return place.with_name(place.name + KEYS_SUFFIX)


class Secrets:
    """The answers of a person, a file or the environment to "which passphrase?"."""

    def __init__(self, file: Path | None, given: str | None, *, unprotected: bool) -> None:
        self._file = file
        self._given = given
        self._unprotected = unprotected

    def ask(self) -> Ask:
        """For opening key files: what is given is tried once, a terminal as often as needed."""

        def answer(file: Path, attempt: int) -> bytes | None:
            stated = self._stated()
            if stated is not None:
                return stated if attempt == 0 else None
            if not sys.stdin.isatty():
                return None
            text: str = click.prompt(f"Passphrase of {file}", hide_input=True, err=True)
            return text.encode()

        return answer

    def sealer(self, settings: PublisherSettings) -> Sealer:
        """For new key files. Raises UsageError where nobody can be asked for a passphrase."""
        if self._unprotected:
            click.echo("warning: the new keys are not protected by a passphrase", err=True)
            return Sealer(None, settings)
        stated = self._stated()
        if stated is None and not sys.stdin.isatty():
            raise UsageError(
                "new keys need a passphrase: give --passphrase-file or P2PUPD_PASSPHRASE, or for "
                "trials --no-passphrase"
            )
        if stated is None:
            prompt = "Passphrase for the new keys"
            stated = click.prompt(
                prompt, hide_input=True, confirmation_prompt=True, err=True
            ).encode()
        return Sealer(stated, settings)

    def _stated(self) -> bytes | None:
        if self._file is not None:
            line = read_bounded(self._file, PASSPHRASE_LIMIT)
            return line.removesuffix(b"\n").removesuffix(b"\r")
        return None if self._given is None else self._given.encode()


def key_options(command: Callable[..., R]) -> Callable[..., R]:
    """`--keys` and the passphrase's options; the command gets `keys` and `secrets`."""
    return click.option(
        "--keys",
        multiple=True,
        type=DIRECTORY,
        help="Directory of key files (REPOSITORY-keys); may be repeated, new keys go to the first.",
    )(passphrase_options(command))


def passphrase_options(command: Callable[..., R]) -> Callable[..., R]:
    """How a passphrase is given; the command gets `secrets`."""

    @click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        help=f"File with the passphrase; else ${PASSPHRASE_VARIABLE}, else it is asked for.",
    )
    @click.option("--no-passphrase", is_flag=True, help="Leave new keys unprotected (for trials).")
    @functools.wraps(command)
    def wrapper(*args: Any, passphrase_file: Path | None, no_passphrase: bool, **others: Any) -> R:
        given = os.environ.get(PASSPHRASE_VARIABLE)
        secrets = Secrets(passphrase_file, given, unprotected=no_passphrase)
        return command(*args, secrets=secrets, **others)

    return wrapper


def signing(
    repository: Path,
    keys: tuple[Path, ...],
    secrets: Secrets,
    threshold: int | None = None,
) -> Signing:
    """With what to sign in `repository`, now."""
    settings = PublisherSettings()
    if threshold is not None:
        settings = replace(settings, threshold=threshold)
    ring = KeyRing(keys or (keys_beside(repository),), secrets.ask())
    return Signing(ring, settings, int(time.time()))
