"""Running other programs, with every dimension bounded."""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from p2pupd.errors import HostError
from p2pupd.host.processes import OUTPUT_LIMIT, run
from tests.support import eventually


async def test_output_errors_and_exit_code_are_results() -> None:
    finished = await run(["sh", "-c", "echo out; echo 'bad thing' >&2; exit 3"], timeout=10)
    assert (finished.code, finished.output, finished.errors) == (3, "out\n", "bad thing\n")
    assert finished.summary.endswith("ended with 3: bad thing")


async def test_a_silent_program_has_a_short_summary() -> None:
    assert (await run(["true"], timeout=10)).summary == "`true` ended with 0"


async def test_standard_input_is_closed() -> None:
    assert (await run(["cat"], timeout=10)).output == ""


async def test_the_environment_is_ours_and_what_is_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    finished = await run(["env"], timeout=10, environment={"ADDED": "2"})
    lines = finished.output.splitlines()
    assert {"KEPT=1", "ADDED=2"} <= set(lines)
    assert not any(line.startswith("NOTIFY_SOCKET") for line in lines)


async def test_a_program_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(HostError, match="cannot start `/none/tool x`: No such file"):
        await run(["/none/tool", "x"], timeout=10)
    with pytest.raises(HostError, match="cannot start"):
        await run(["a\0b"], timeout=10)


async def test_endless_output_is_cut_and_does_not_fill_the_memory() -> None:
    finished = await run(["sh", "-c", "head -c 5000000 /dev/zero"], timeout=20)
    assert finished.code == 0
    assert len(finished.output) == OUTPUT_LIMIT


async def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {pid}; wait"
    with pytest.raises(HostError, match=r"did not end within 0\.5 s") as caught:
        await run(["sh", "-c", script], timeout=0.5)
    assert caught.value.reason == "timeout"
    await eventually(lambda: not alive(pid))


def alive(pid: Path) -> bool:
    """Whether that process runs; what waits for its parent to notice its end does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid.read_text().strip()}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_cancelling_kills_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    task = asyncio.get_running_loop().create_task(
        run(["sh", "-c", f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 1000"], timeout=60)
    )
    await eventually(pid.exists)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not alive(pid)


async def test_what_a_program_leaves_in_the_background_is_left_alone(tmp_path: Path) -> None:
    gate, done = tmp_path / "gate", tmp_path / "done"
    script = f"(while [ ! -e {gate} ]; do sleep 0.01; done; touch {done}) & echo started"
    finished = await run(["sh", "-c", script], timeout=30)
    assert (finished.code, finished.output) == (0, "started\n")
    gate.touch()
    await eventually(done.exists)


async def test_a_killed_program_has_a_negative_code() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert (await run([sys.executable, "-c", code], timeout=20)).code == -15


async def test_a_process_ends_with_its_parent_even_one_that_is_killed() -> None:
    child = (
        "import os, sys, time; from p2pupd.host.processes import end_with;"
        "end_with(int(sys.argv[1])); print(os.getpid(), flush=True); time.sleep(60)"
    )
    parent = (
        "import os, subprocess, sys;"
        f"subprocess.run([sys.executable, '-c', {child!r}, str(os.getpid())])"
    )
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, stdout=asyncio.subprocess.PIPE
    )
    assert started.stdout is not None
    pid = int(await started.stdout.readline())
    started.kill()
    await started.wait()
    await eventually(lambda: _ended(pid))


async def test_a_process_whose_parent_has_ended_already_ends_at_once() -> None:
    program = "from p2pupd.host.processes import end_with; end_with(1); print('lives on')"
    ended = await run((sys.executable, "-c", program), timeout=10)
    assert (ended.code, ended.output) == (-signal.SIGTERM, "")


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_without_a_free_descriptor_no_program_starts_and_none_is_lost() -> None:
    before = len(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for spare in range(1, 6):
        highest = max(int(each) for each in os.listdir("/proc/self/fd"))
        fillers = [os.open("/dev/null", os.O_RDONLY) for _ in range(highest + 1 - before)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(fillers, default=highest) + spare, hard))
        try:
            with pytest.raises(HostError, match="cannot start"):
                await run(["true"], timeout=10)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for each in fillers:
                os.close(each)
    assert len(os.listdir("/proc/self/fd")) == before
