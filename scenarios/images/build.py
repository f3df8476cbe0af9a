"""Every release in every format, below one directory; what is there already is kept."""

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from scenarios.images import tree
from scenarios.images.commands import ImagesError, need, run
from scenarios.images.formats import Format
from scenarios.images.releases import RELEASES, Release

Say = Callable[[str], object]


def image_of(directory: Path, release: str, format_name: str) -> Path:
    """Where the image is, made or not."""
    return directory / release / f"image.{format_name}"


def build(directory: Path, formats: Iterable[Format], say: Say) -> None:
    """Make what is missing. Raises ImagesError."""
    if os.geteuid() != 0:
        raise ImagesError("debootstrap needs root")
    wanted = list(formats)
    need((program for each in wanted for program in each.programs), "building images")
    before: Path | None = None
    for release in RELEASES:
        archive = directory / release.name / "tree.tar"
        if not archive.exists():
            archive.parent.mkdir(parents=True, exist_ok=True)
            say(f"{release.name}: root file system")
            _root(archive, before, release)
        missing = [
            each for each in wanted if not image_of(directory, release.name, each.name).exists()
        ]
        if missing:
            images(archive, missing, say)
        before = archive


def _root(archive: Path, before: Path | None, release: Release) -> None:
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix="work-") as work:
        root = Path(work) / "tree"
        if before is None:
            tree.bootstrap(root, release)
        else:
            tree.restore(before, root)
            tree.update(root, release)
        tree.save(root, archive)


def images(archive: Path, formats: Iterable[Format], say: Say) -> None:
    """Of one saved tree, beside it."""
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix="work-") as work:
        root = Path(work) / "tree"
        tree.restore(archive, root)
        for each in formats:
            say(f"{archive.parent.name}: {each.name}")
            image = image_of(archive.parents[1], archive.parent.name, each.name)
            unfinished = image.with_name(f"part-{image.name}")
            try:
                each.make(root, archive, unfinished)
                os.replace(unfinished, image)
            finally:
                run(["rm", "-f", unfinished])
