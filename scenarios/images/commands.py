"""The programs that build and compare images: one door, and one error that a user can read."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


class ImagesError(Exception):
    """It cannot be done here; the text is for the user: what is wrong and what to do."""


def run(command: Sequence[str | Path], *, more: Mapping[str, str] | None = None) -> str:
    """What the program wrote. `more` is added to the environment. Raises ImagesError."""
    line = [str(each) for each in command]
    environment = {**os.environ, "LC_ALL": "C", **(more or {})}
    ended = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    if ended.returncode != 0:
        said = (ended.stderr or ended.stdout).strip().splitlines()[-3:]
        raise ImagesError(f"`{shlex.join(line)}` ended with {ended.returncode}: {' | '.join(said)}")
    return ended.stdout


def need(programs: Iterable[str], what: str) -> None:
    """Raises ImagesError if one of the programs is not installed."""
    lacking = sorted(each for each in programs if shutil.which(each) is None)
    if lacking:
        raise ImagesError(f"{what} needs {', '.join(lacking)}, which is not installed")
