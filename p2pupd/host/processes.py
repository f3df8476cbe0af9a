"""The one door to other programs: argument lists, standard input closed, output bounded."""

import asyncio
import ctypes
import os
import shlex
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from p2pupd.errors import HostError

OUTPUT_LIMIT: Final = 64 * 1024
"""Bytes kept of each output; what comes after is read and dropped."""

LINGER_SECONDS: Final = 1.0
"""How long output of a program that has ended is still waited for: a child may hold the pipe."""

OURS_ALONE: Final = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID")
"""Environment by which the service manager speaks to this process and to no other."""

PR_SET_PDEATHSIG: Final = 1

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
    with _Output() as output, _Output() as errors:
        process = await _start(command, line, environment or {}, output, errors)
        try:
            async with asyncio.timeout(timeout):
                await process.wait()
        except TimeoutError as error:
            message = f"`{line}` did not end within {timeout:g} s"
            raise HostError(message, reason="timeout") from error
        finally:
            if process.returncode is None:
                _kill_group(process.pid)
                await process.wait()
        for each in (output, errors):
            await each.rest()
        return Finished(line, process.returncode or 0, output.text, errors.text)


async def _start(
    command: Sequence[str],
    line: str,
    extra: Mapping[str, str],
    output: "_Output",
    errors: "_Output",
) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL,
            stdout=output.write_end,
            stderr=errors.write_end,
            env=_environment(extra),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise HostError(f"cannot start `{line}`: {_why(error)}") from error
    finally:
        output.started()
        errors.started()


def end_with(parent: int) -> None:
    """Have this process ended by SIGTERM when its parent ends, however that does; see prctl(2).

    `parent` is the process id that the parent had when it started this one: if it has ended
    already, this process ends now.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


class _Output:
    """The start of what a program writes; the rest is read and dropped.

    Its own pipe, because asyncio takes a program for running while any child holds a pipe of its.
    """

    def __init__(self) -> None:
        try:
            self._read_end, write_end = os.pipe()
        except OSError as error:
            raise HostError(f"cannot start a program: {error.strerror}") from error
        self.write_end: int | None = write_end
        os.set_blocking(self._read_end, False)
        self._kept = bytearray()
        self._ended = asyncio.Event()

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._read_end, self._more)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._read_end)
        os.close(self._read_end)
        self.started()

    def started(self) -> None:
        """The program has its own copy of the pipe now, or never will."""
        if self.write_end is not None:
            os.close(self.write_end)
            self.write_end = None

    def _more(self) -> None:
        chunk = os.read(self._read_end, _CHUNK)
        self._kept += chunk[: OUTPUT_LIMIT - len(self._kept)]
        if not chunk:
            asyncio.get_running_loop().remove_reader(self._read_end)
            self._ended.set()

    async def rest(self) -> None:
        """Wait for what is still in the pipe; not for a child that keeps it open."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self._ended.wait()

    @property
    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")


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
