"""Programs that wait in a network namespace until they are told to go."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from scenarios.bench.course import BenchError
from scenarios.lib.net import Host

DONE: Final = "done"
"""A file that a host's program makes, in the host's directory, when it has the whole image."""

FAILED: Final = "failed"
LOG: Final = "log"
MARKING: Final = "marking"
"""A script in each host's directory which makes DONE, for programs that call one."""

POLL_SECONDS: Final = 0.02
END_SECONDS: Final = 3
TAIL_BYTES: Final = 2000


class Armed:
    """A shell command of one host. The shell around it stays, so that its cost can be read."""

    def __init__(self, host: Host, directory: Path, command: str) -> None:
        self.host = host
        self.directory = directory
        self._command = command
        self._process: Process | None = None

    async def load(self) -> None:
        """Start the shell; the command waits."""
        self.directory.mkdir(parents=True, exist_ok=True)
        marking = self.directory / MARKING
        marking.write_text(f"#!/bin/sh\nexec touch {self.directory / DONE}\n")
        marking.chmod(0o755)
        script = (
            f"echo armed; read -r go; {{ {self._command} ; }} >{LOG} 2>&1 </dev/null "
            f"|| touch {FAILED}; read -r end"
        )
        self._process = await asyncio.create_subprocess_exec(
            *self.host.prefix, "sh", "-c", script,
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL, cwd=self.directory, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        await self._process.stdout.readline()

    @property
    def pid(self) -> int:
        """The shell's."""
        assert self._process is not None
        return self._process.pid

    def go(self) -> None:
        """Start the command."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")

    @property
    def done_at(self) -> float | None:
        """When it had the image (Unix seconds). Raises BenchError if it failed."""
        if (self.directory / FAILED).exists():
            raise BenchError(f"{self._command}\n{self.tail()}")
        with suppress(FileNotFoundError):
            return (self.directory / DONE).stat().st_mtime
        return None

    def tail(self) -> str:
        """The end of what it printed."""
        with suppress(FileNotFoundError):
            return (self.directory / LOG).read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace")
        return ""

    async def stop(self) -> None:
        """End it and all that it started."""
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await self._process.wait()


async def listening(host: Host, port: int, within: float = 10) -> None:
    """Wait until something listens on the TCP port of the host."""
    async with asyncio.timeout(within):
        while True:
            process = await asyncio.create_subprocess_exec(
                *host.prefix, "ss", "-Hltn", f"sport = :{port}", stdout=PIPE
            )
            output, _ = await process.communicate()
            if output.strip():
                return
            await asyncio.sleep(POLL_SECONDS)


async def all_done(fetching: Iterable[Armed], others: Iterable[Armed], within: float) -> None:
    """Wait until each of `fetching` has the image. Raises BenchError when one or `others` fail."""
    waiting = list(fetching)
    try:
        async with asyncio.timeout(within):
            while waiting := [each for each in waiting if each.done_at is None]:
                for each in others:
                    _ = each.done_at
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        tails = "\n".join(f"{each.host.namespace}: {each.tail()}" for each in waiting)
        raise BenchError(f"not done within {within:.0f} s\n{tails}") from error
