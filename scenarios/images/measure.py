"""Every contender on every update of a format: the bytes that a device receives."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from scenarios.images.build import image_of
from scenarios.images.commands import ImagesError, need
from scenarios.images.contenders import Contender, Cost, Prepared
from scenarios.images.releases import RELEASES

FIRST: Final = "first install"
Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one contender needed for one update (`update` is the newer release, or FIRST)."""

    format: str
    update: str
    contender: str
    image: int
    wire: int
    parts: dict[str, int] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Of the new image's length."""
        return self.wire / self.image


def measure(directory: Path, format_name: str, contender: Contender, say: Say) -> list[Measured]:
    """Run it on all consecutive images of a format. Raises ImagesError."""
    need(contender.programs, contender.name)
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(dir=directory, prefix="measure-") as work:
        for each in _runs(directory, format_name, contender, Path(work)):
            say(f"{each.format} {each.update} {each.contender}: {each.share:.2%}")
            found.append(each)
    return found


def _runs(
    directory: Path, format_name: str, contender: Contender, work: Path
) -> Iterable[Measured]:
    older: Prepared | None = None
    for release in RELEASES:
        image = image_of(directory, release.name, format_name)
        if not image.exists():
            raise ImagesError(f"{image} is not there: build it first")
        newer = Prepared(image, work / release.name)
        newer.shelf.mkdir()
        contender.prepare(newer)
        if older is None:
            yield _measured(format_name, FIRST, contender, image, contender.first(newer))
        else:
            cost = contender.update(older, newer)
            yield _measured(format_name, release.name, contender, image, cost)
            shutil.rmtree(older.shelf)
        older = newer


def _measured(
    format_name: str, update: str, contender: Contender, image: Path, cost: Cost
) -> Measured:
    length = image.stat().st_size
    return Measured(format_name, update, contender.name, length, cost.wire, dict(cost.parts))


def read(path: Path) -> list[Measured]:
    """What was written; nothing if there is no such file. Raises ImagesError."""
    if not path.exists():
        return []
    try:
        lines: list[dict[str, Any]] = json.loads(path.read_bytes())
        return [Measured(**each) for each in lines]
    except (ValueError, TypeError) as error:
        raise ImagesError(f"{path} is not what measure writes ({error}): remove it") from error


def write(path: Path, new: Iterable[Measured]) -> list[Measured]:
    """Put these into the file; figures of the same thing are replaced. All that is in it now."""
    merged = {(each.format, each.update, each.contender): each for each in read(path)}
    merged |= {(each.format, each.update, each.contender): each for each in new}
    everything = list(merged.values())
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_text(json.dumps([asdict(each) for each in everything], indent=1) + "\n")
    os.replace(unfinished, path)
    return everything
