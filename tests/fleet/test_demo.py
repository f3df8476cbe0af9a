"""`p2pupd demo`: the real floor, small."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from subprocess import PIPE

from p2pupd.errors import UsageError
from p2pupd.host.processes import run
from scenarios.lib.fleet import until

DEMO = (sys.executable, "-m", "p2pupd", "demo", "--devices", "2", "--size", "1M")


async def test_a_floor_confirms_all_but_the_device_that_is_made_to_fail(tmp_path: Path) -> None:
    ended = await run([*DEMO, "--once", "--keep", str(tmp_path / "floor")], timeout=90)
    assert ended.code == 0, ended.output + ended.errors
    assert "1 confirmed, 1 rolled back" in ended.output
    assert (tmp_path / "floor" / "repo" / "metadata").is_dir()


async def test_a_floor_runs_on_to_be_looked_at_until_ctrl_c(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *DEMO, stdout=output, stderr=PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
        )

    async def runs_on() -> bool:
        return "runs on until Ctrl-C" in log.read_text()

    await until(runs_on, 90, "the floor is done")
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert list(tmp_path.iterdir()) == [log], "nothing is left behind"


async def test_a_directory_that_exists_is_left_alone(tmp_path: Path) -> None:
    ended = await run([*DEMO, "--keep", str(tmp_path)], timeout=30)
    assert ended.code == UsageError.code
    assert "exists already" in ended.errors


async def test_a_size_that_is_none_is_a_mistake_of_usage() -> None:
    ended = await run([*DEMO, "--size", "much"], timeout=30)
    assert ended.code == 2
    assert "'much' is not a size such as 64M" in ended.errors
