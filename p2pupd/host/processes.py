"""The one door to other programs: argument lists, standard input closed, output bounded."""

import asyncio
import os
import shlex
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from p2pupd.errors import HostError

OUTPUT_LIMIT: Final = 64 * 1024


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

    `environment` is added to ours. A non-zero exit is a result, not an error. Raises HostError
    when the program cannot be started or did not end in time.
    """
    line = shlex.join(command)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(os.environ) | dict(environment or {}),
            start_new_session=True,
        )
    except OSError as error:
        raise HostError(f"cannot start `{line}`: {error.strerror or error}") from error
    try:
        async with asyncio.timeout(timeout):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise HostError(f"`{line}` did not end within {timeout:g} s", reason="timeout") from error
    finally:
        if process.returncode is None:
            _kill_group(process.pid)
            await process.wait()
    return Finished(line, process.returncode or 0, _text(output), _text(errors))


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _text(raw: bytes) -> str:
    return raw[:OUTPUT_LIMIT].decode("utf-8", "replace")
