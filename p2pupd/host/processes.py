"""The one door to other programs: argument lists, standard input closed, output bounded."""

import asyncio
import os
import shlex
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from p2pupd.errors import HostError

OUTPUT_LIMIT: Final = 64 * 1024
"""Bytes kept of each output; what comes after is read and dropped."""

LINGER_SECONDS: Final = 1.0
"""How long output of a program that has ended is still waited for: a child may hold the pipe."""

OURS_ALONE: Final = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID")
"""Environment by which the service manager speaks to this process and to no other."""

_CHUNK: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: its exit code (negative: killed by that signal), its bounded output."""

    command: str
    code: int
    output: str
    errors: str

    @property
    def summary(self) -> str:
        """One line that can be pasted into a shell, with what went wrong."""
        said = (self.errors or self.output).strip().splitlines()
        return f"`{self.command}` ended with {self.code}" + (f": {said[-1][:200]}" if said else "")


async def run(
    command: Sequence[str], *, timeout: float, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run to the end; the whole process group is killed after `timeout` seconds or on cancellation.

    `environment` is added to ours. A non-zero exit is a result, not an error. What the program
    leaves running in the background is left alone. Raises HostError when it cannot be started or
    did not end in time.
    """
    line = shlex.join(command)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=_environment(environment or {}),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise HostError(f"cannot start `{line}`: {_why(error)}") from error
    output, errors = bytearray(), bytearray()
    try:
        async with asyncio.timeout(timeout):
            await _listen(process, output, errors)
    except TimeoutError as error:
        raise HostError(f"`{line}` did not end within {timeout:g} s", reason="timeout") from error
    finally:
        if process.returncode is None:
            _kill_group(process.pid)
            await process.wait()
    return Finished(line, process.returncode or 0, _text(output), _text(errors))


async def _listen(process: Process, output: bytearray, errors: bytearray) -> None:
    """Keep the start of both outputs until the program has ended."""
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.TaskGroup() as group:
        readers = [
            group.create_task(_keep(process.stdout, output), name="standard output"),
            group.create_task(_keep(process.stderr, errors), name="standard error"),
        ]
        await process.wait()
        _, late = await asyncio.wait(readers, timeout=LINGER_SECONDS)
        for each in late:
            each.cancel()


async def _keep(stream: asyncio.StreamReader, kept: bytearray) -> None:
    while chunk := await stream.read(_CHUNK):
        kept += chunk[: OUTPUT_LIMIT - len(kept)]


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if name not in OURS_ALONE}
    return ours | dict(extra)


def _why(error: OSError | ValueError) -> str:
    return str(getattr(error, "strerror", None) or error)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _text(raw: bytearray) -> str:
    return raw.decode("utf-8", "replace")
