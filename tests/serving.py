"""A repository over HTTP, by the real command in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import eventually_sync


@dataclass(frozen=True)
class Served:
    """`log` gets a line for each request."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """It answers no more."""
        self.process.terminate()
        self.process.wait(10)

    def requests(self) -> list[str]:
        """`GET /metadata/timestamp.json 200` for each request so far."""
        lines = self.log.read_text().splitlines()[1:]
        return [" ".join(line.split()[1:4]) for line in lines]


@contextmanager
def served(
    repository: Path, listen: str = "127.0.0.1:0", prefix: tuple[str, ...] = ()
) -> Iterator[Served]:
    """`p2pupd repo serve` runs in the block, `prefix` before its command line."""
    log = repository.with_name(f"{repository.name}-{time.monotonic_ns()}.log")
    command = [*prefix, sys.executable, "-m", "p2pupd", "repo", "serve", "--listen", listen]
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [*command, "--repo", str(repository)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    try:
        eventually_sync(lambda: " at http" in log.read_text() or process.poll() is not None, 30)
        assert process.poll() is None, log.read_text()
        yield Served(log.read_text().split()[-1], log, process)
    finally:
        process.terminate()
        process.wait(10)
