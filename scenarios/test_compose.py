"""The floor of docker/README.md, by its commands as they are written there."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenarios.lib import engine
from scenarios.lib.containers import docker
from tests.support import ROOT, needs_tool

PAGE = ROOT / "docker" / "README.md"
BELOW = {"floor": ".", "uplink": "docker", "offline": "."}
"""Where one is when one types them."""
LOOK = (
    "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8080/').read().decode())"
)
"""A browser on the machine of the engine."""


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A copy of what is in the repository; no container of its floor is left."""
    directory = tmp_path / "clone"
    engine.copy_sources(directory)
    yield directory
    down = ["docker-compose", "down", "--volumes", "--timeout", "2"]
    subprocess.run(down, check=False, cwd=directory / "docker", env=_environment())


def _environment() -> dict[str, str]:
    """Smaller releases than a user's: 17 devices share this machine with other tests."""
    return os.environ | {"COMPOSE_PROJECT_NAME": f"p2pupd{os.getpid()}", "SIZE": "16M"}


def _typed(name: str, clone: Path) -> None:
    """Type the commands that stand below this mark, one after the other, as long as they work."""
    text = PAGE.read_text("utf-8")
    (commands,) = re.findall(rf"<!-- command: {name} -->\n+```sh\n(.+?)```", text, re.DOTALL)
    ended = subprocess.run(
        ["sh", "-euxc", commands],
        check=False, cwd=clone / BELOW[name], env=_environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, f"{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"


@pytest.mark.containers
@engine.needs_engine
@needs_tool("docker-compose")
@pytest.mark.timeout(900)
def test_the_commands_of_the_page_end_with_every_device_confirmed(clone: Path) -> None:
    _typed("offline", clone)
    _typed("floor", clone)
    assert "<title>" in docker("run", "--rm", "--network", "host", "p2pupd", "python3", "-c", LOOK)
    _typed("uplink", clone)
