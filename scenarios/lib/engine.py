"""The Docker engine of the scenarios, and the image that their containers run."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from scenarios.lib.containers import IMAGE, docker
from scenarios.lib.ground import done
from tests.support import IN_CI, ROOT

BASE: Final = "p2pupd-scenarios-base"
PLACE: Final = ROOT / "build" / "image"
LABEL: Final = "p2pupd.sources"
CONTEXT: Final = (
    ".ci/requirements-run.txt",
    ".dockerignore",
    "LICENSE",
    "README.md",
    "docker/**/*",
    "p2pupd/**/*",
    "pyproject.toml",
)
IGNORED: Final = {"__pycache__", "wheels", ".env"}


@cache
def missing() -> str:
    """What keeps scenarios in containers from running here; empty: nothing."""
    if os.geteuid() != 0:
        return "needs root (packets are dropped from outside of the containers)"
    for program in ("docker", "nft", "tc", "nsenter"):
        if shutil.which(program) is None:
            return f"needs the program {program}"
    ended = subprocess.run(("docker", "version"), check=False, capture_output=True, text=True)
    if ended.returncode != 0:
        return f"needs a Docker engine (docker/engine COMMAND starts one): {ended.stderr.strip()}"
    return ""


needs_engine = pytest.mark.skipif(
    not IN_CI and bool(missing()), reason=f"scenarios in containers: {missing()}"
)


def prepare() -> None:
    """Have the image of this checkout, built if need be, from nothing but this machine.

    A registry would be asked for a base image, so there is a stand-in for that. Of several that
    ask at the same time one builds, and the others wait.
    """
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        label = f"{LABEL}={_digest()}"
        if docker("images", "--quiet", "--filter", f"label={label}", IMAGE):
            return
        context = PLACE / "context"
        shutil.rmtree(context, ignore_errors=True)
        copy_sources(context)
        done(str(context / "docker" / "base"), "host", BASE)
        docker(
            *("build", "--quiet", "--network", "none", "--build-arg", f"BASE={BASE}"),
            *("--build-arg", "PIP_NO_INDEX=1", "--build-arg", "PIP_FIND_LINKS=/given"),
            *("--label", label, "--tag", IMAGE),
            *("--file", str(context / "docker" / "Dockerfile"), str(context)),
        )


def copy_sources(clone: Path) -> None:
    """What an image is built from, as in a fresh clone."""
    for path in _sources():
        copy = clone / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


def _sources() -> list[Path]:
    """What the image is made of."""
    found = [each for pattern in CONTEXT for each in ROOT.glob(pattern) if each.is_file()]
    return sorted(each for each in found if not IGNORED & set(each.relative_to(ROOT).parts))


def _digest() -> str:
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
