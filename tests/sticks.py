"""Sticks for tests: repositories with TUF's file names and shape, and no signatures.

Feeds believe nothing, so they need none.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from p2pupd.feeds.interface import Offer
from p2pupd.model.release import Release
from tests.builders import a_release
from tests.contents import artifact_of


def signed(version: int, **meta: int) -> bytes:
    """Metadata that claims `version` and names other metadata; `__` stands for a dot."""
    named = {name.replace("__", "."): {"version": number} for name, number in meta.items()}
    return json.dumps({"signed": {"version": version, "meta": named}, "signatures": []}).encode()


def metadata(version: int = 1, fleet: str = "ours") -> dict[str, bytes]:
    """The files of one bundle whose timestamp claims `version`."""
    return {
        "1.root.json": json.dumps({"signed": {"version": 1, "fleet": fleet}}).encode(),
        "timestamp.json": signed(version, snapshot__json=version),
        f"{version}.snapshot.json": signed(version, targets__json=version, gateway__json=3),
        f"{version}.targets.json": signed(version),
        "3.gateway.json": signed(3),
    }


def released(content: bytes, number: int = 7) -> Release:
    """A release whose carried file is `content`."""
    return replace(a_release(number), artifact=artifact_of(content))


def target_path(release: Release) -> Path:
    """Where its file is in a repository."""
    target = Path("targets") / release.target
    return target.with_name(f"{release.artifact.sha256}.{target.name}")


def layer_path(release: Release) -> Path:
    """Where its piece layer is."""
    target = target_path(release)
    return target.with_name(f"{target.name}.layer")


def write_repository(root: Path, *contents: bytes, version: int = 1, fleet: str = "ours") -> None:
    """A repository in `root` whose releases 7, 8, ... carry `contents`."""
    (root / "metadata").mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(contents, start=7):
        path = root / target_path(released(content, number))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    files = metadata(version, fleet)
    for name in sorted(files, key=lambda each: each == "timestamp.json"):
        (root / "metadata" / name).write_bytes(files[name])


@dataclass
class Heard:
    """A FeedListener that remembers what it was told."""

    offers: list[Offer] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    refused: list[tuple[str, Exception]] = field(default_factory=list)

    def offer(self, offer: Offer) -> None:
        self.offers.append(offer)

    def source_gone(self, source: str) -> None:
        self.gone.append(source)

    def source_refused(self, source: str, error: Exception) -> None:
        self.refused.append((source, error))


@contextmanager
def mounted(point: Path, *contents: bytes, size: str = "8m") -> Iterator[Path]:
    """A file system of its own at `point`, with a stick's repository on it. Needs root."""
    point.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "stick", point], check=True)
    try:
        if contents:
            write_repository(point / "p2pupd", *contents)
        yield point
    finally:
        subprocess.run(["umount", "-l", point], check=False, capture_output=True)


@contextmanager
def endless_directories(top: Path) -> Iterator[None]:
    """Directories below each other from `top` on, more than anybody may follow; gone afterwards."""
    top.mkdir()
    deeper = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("x", dir_fd=deeper)
        below = os.open("x", os.O_RDONLY, dir_fd=deeper)
        os.close(deeper)
        deeper = below
    os.close(deeper)
    try:
        yield
    finally:
        subprocess.run(["rm", "-rf", str(top)], check=True)
