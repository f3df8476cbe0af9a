"""kill -9 of a device right after every phase of its deployment was journaled."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scenarios.lib.fleet import Fleet, Publisher, fleet, knows, phases, powered, until
from tests.crashing_daemon import MARK

SIZE = 2 << 20
GOOD = (
    "offered", "verified", "fetching", "ready", "installing", "armed", "trial", "confirmed",
)  # fmt: skip
BAD = ("trial", "reverting", "reverted")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    made = await Publisher(tmp_path_factory.mktemp("office")).init()
    await made.release(SIZE)
    await made.stick(made.directory / "stick")
    return made


@pytest.fixture
async def floor(publisher: Publisher) -> AsyncIterator[Fleet]:
    async with fleet(None, publisher.anchor) as made:
        yield made


async def _run_with_cut(floor: Fleet, publisher: Publisher, phase: str, *, healthy: bool) -> Path:
    """Let a device update with a power cut after `phase`; its directory when all is over."""
    python = (sys.executable, "-m", "tests.crashing_daemon", phase)
    seed = floor.seed(settings={"media": {"directories": [str(publisher.directory / "stick")]}})
    device = floor.device("device", healthy=healthy, python=python)
    end = "confirmed" if healthy else "reverted"
    async with powered([seed, device]):
        await knows(device, 1)

        async def ended() -> bool:
            return (device.directory / MARK).exists() and await phases([device]) == [end]

        await until(ended, 40, f"power cut after {phase}, then {end}")
        status = await device.status()
        assert status is not None
        assert status["installed"]["slot"] == ("B" if healthy else "A")
        assert status["installed"]["primary"] == status["installed"]["slot"]
        received = (await device.received())["lan"]
        assert received <= SIZE + 2 * (1 << 16)
    return device.directory


@pytest.mark.parametrize("phase", GOOD)
async def test_a_good_release_is_confirmed_after_a_power_cut(
    floor: Fleet, publisher: Publisher, phase: str
) -> None:
    directory = await _run_with_cut(floor, publisher, phase, healthy=True)
    assert (directory / "slot_b").read_bytes() == publisher.images[0].read_bytes()


@pytest.mark.parametrize("phase", BAD)
async def test_a_bad_release_leaves_the_old_slot_running_after_a_power_cut(
    floor: Fleet, publisher: Publisher, phase: str
) -> None:
    directory = await _run_with_cut(floor, publisher, phase, healthy=False)
    assert (directory / "slot_a").read_bytes() == b"factory image\n"
