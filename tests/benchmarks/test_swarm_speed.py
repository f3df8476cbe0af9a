"""How fast a small release crosses the floor, and what a swarm costs when nothing happens."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.swarming import an_address, an_artifact, introduce, member

MIB = 1 << 20
DEVICES = 8
IDLE_SECONDS = 5

pytestmark = pytest.mark.benchmark


async def test_one_mebibyte_reaches_the_last_of_eight_devices_in_well_below_a_second(
    tmp_path: Path,
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    async with AsyncExitStack() as stack:
        seed = await stack.enter_async_context(member(tmp_path / "seed", seed=True))
        devices = [
            await stack.enter_async_context(member(tmp_path / f"{number}"))
            for number in range(DEVICES)
        ]
        introduce(seed, *devices)
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(seed.swarm.share(artifact, seed.directory))
            for device in devices:
                group.create_task(device.fetch(artifact))
        took = time.monotonic() - began
        assert all(device.content(artifact) == content for device in devices)
    print(f"last of {DEVICES}: {took:.3f} s")
    assert took < 1


async def test_an_idle_swarm_costs_almost_nothing(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "a", 16 * MIB)
    described = tmp_path / "artifact.json"
    described.write_text(json.dumps(asdict(artifact)))
    peers = ",".join(f"{an_address()}:7777" for _ in range(DEVICES))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.swarm_node", "--address", an_address(), "--share"),
        *("--directory", str(tmp_path / "a"), "--artifact", str(described), "--peers", peers),
        stdout=PIPE,
    )
    assert process.stdout
    while await process.stdout.readline() != b"READY\n":
        pass
    before = cpu_seconds(process.pid)
    await asyncio.sleep(IDLE_SECONDS)
    share = (cpu_seconds(process.pid) - before) / IDLE_SECONDS
    resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    mebibytes = resident * os.sysconf("SC_PAGE_SIZE") / MIB
    process.kill()
    await process.wait()
    print(f"idle: {100 * share:.2f} % of a core, {mebibytes:.1f} MiB")
    assert share < 0.005
    assert mebibytes < 64


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
