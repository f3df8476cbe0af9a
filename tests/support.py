"""What tests share: waiting for a condition, and markers for what a machine may lack."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
POLL_SECONDS = 0.01
IN_CI = os.environ.get("CI") == "true"


async def eventually(condition: Callable[[], T], within: float = 10) -> T:
    """The first true value of `condition`, polled; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {condition}"
        await asyncio.sleep(POLL_SECONDS)
    return value


async def eventually_async(condition: Callable[[], Awaitable[T]], within: float = 10) -> T:
    """The same for a condition that must be awaited."""
    deadline = time.monotonic() + within
    while not (value := await condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {condition}"
        await asyncio.sleep(POLL_SECONDS)
    return value


def eventually_sync(condition: Callable[[], T], within: float = 10) -> T:
    """The same for tests that have no event loop."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {condition}"
        time.sleep(POLL_SECONDS)
    return value


@asynccontextmanager
async def running(*services: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """`services` run in the background of the block, and are cancelled at its end."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(service) for service in services]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def _required(missing: bool, reason: str) -> pytest.MarkDecorator:
    """Skips on a user's machine; in CI nothing is skipped, so there the test runs and fails."""
    return pytest.mark.skipif(missing and not IN_CI, reason=reason)


needs_root = _required(os.geteuid() != 0, "needs root (mounts, namespaces, loop devices)")


def needs_tool(name: str) -> pytest.MarkDecorator:
    """The test drives the real program `name`."""
    return _required(shutil.which(name) is None, f"needs the program {name}")


ROOT = Path(__file__).parents[1]


def sources() -> list[Path]:
    """Every Python file of the project."""
    return sorted(
        each for room in ("p2pupd", "tests", "scenarios") for each in ROOT.glob(f"{room}/**/*.py")
    )


def run_cleanly(command: list[str]) -> None:
    """Run a checking tool in the project's directory; its output is the failure's message.

    Measuring the coverage of a tool's own process would only slow it down.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    ended = subprocess.run(
        command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
