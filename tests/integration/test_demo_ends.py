"""The demo leaves nothing running, however it is ended."""

import asyncio
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.support import eventually

DEVICES = 2


def _of_floor(directory: str) -> list[int]:
    """Processes whose command line names the floor's directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(directory) in line and b"leashed" in line:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_no_daemon_outlives_the_demo(number: signal.Signals) -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "p2pupd", "demo", "--devices", str(DEVICES), "--size", "1M"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert demo.stdout is not None
    found = re.search(r"/\S*p2pupd-\S+", (await demo.stdout.readline()).decode())
    assert found is not None
    directory = found[0]
    try:
        await eventually(lambda: len(_of_floor(directory)) == DEVICES + 1, 30)
        demo.send_signal(number)
        await demo.communicate()
        await eventually(lambda: not _of_floor(directory), 15)
        assert number == signal.SIGKILL or not Path(directory).exists()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
