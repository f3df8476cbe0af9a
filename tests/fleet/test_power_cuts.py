"""kill -9 of a device right after every phase of its deployment was journaled.

The device loses power with its daemon, so a trial that is cut short ends on the old slot: the
bootloader tries a new release once. Where only the daemon dies, the trial goes on.
"""

import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from p2pupd.demo.device import Device
from scenarios.lib.fleet import Fleet, Publisher, fleet, knows, on, phases, powered, until
from tests.crashing_daemon import MARK

SIZE = 2 << 20
PIECE = 1 << 14
GOOD = ("offered", "verified", "fetching", "ready", "installing", "armed", "confirmed")
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


async def _run_with_cut(
    floor: Fleet, publisher: Publisher, phase: str, end: str, *, healthy: bool
) -> Path:
    """Let a device update with a power cut after `phase`; its directory when it came to `end`."""
    python = (sys.executable, "-m", "tests.crashing_daemon", phase)
    seed = floor.seed(settings={"media": {"directories": [str(publisher.directory / "stick")]}})
    device = floor.device("device", healthy=healthy, python=python)
    async with powered([seed, device]):
        await knows(device, 1)

        async def ended() -> bool:
            return (device.directory / MARK).exists() and await phases([device]) == [end]

        await until(ended, 40, f"power cut after {phase}, then {end}")
        status = await device.status()
        assert status is not None
        assert status["installed"]["slot"] == ("B" if end == "confirmed" else "A")
        assert status["installed"]["primary"] == status["installed"]["slot"]
        received = (await device.received())["lan"]
        assert received <= SIZE + PIECE
    return device.directory


@pytest.mark.parametrize("phase", GOOD)
async def test_a_good_release_is_confirmed_after_a_power_cut(
    floor: Fleet, publisher: Publisher, phase: str
) -> None:
    directory = await _run_with_cut(floor, publisher, phase, "confirmed", healthy=True)
    assert (directory / "slot_b").read_bytes() == publisher.images[0].read_bytes()


@pytest.mark.parametrize("phase", BAD)
async def test_a_bad_release_leaves_the_old_slot_running_after_a_power_cut(
    floor: Fleet, publisher: Publisher, phase: str
) -> None:
    directory = await _run_with_cut(floor, publisher, phase, "reverted", healthy=False)
    assert (directory / "slot_a").read_bytes() == b"factory image\n"


async def test_a_power_cut_in_the_trial_of_a_good_release_ends_on_the_old_slot(
    floor: Fleet, publisher: Publisher
) -> None:
    directory = await _run_with_cut(floor, publisher, "trial", "reverted", healthy=True)
    assert (directory / "slot_a").read_bytes() == b"factory image\n"


async def test_a_release_that_waits_for_consent_waits_on_after_a_power_cut(
    floor: Fleet, publisher: Publisher
) -> None:
    python = (sys.executable, "-m", "tests.crashing_daemon", "waiting")
    seed = floor.seed(settings={"media": {"directories": [str(publisher.directory / "stick")]}})
    device = floor.device("device", python=python, settings={"device": {"consent": True}})
    async with powered([seed, device]):

        async def waits_again() -> bool:
            return (device.directory / MARK).exists() and await phases([device]) == ["waiting"]

        await until(waits_again, 40, "power cut after waiting, then waiting")
        await on(device, "approve")
        await until(lambda: _in(device, "confirmed"), 30, "confirmed")
        assert (await device.received())["lan"] <= SIZE + PIECE


async def test_a_trial_goes_on_when_only_the_daemon_dies(
    floor: Fleet, publisher: Publisher
) -> None:
    seed = floor.seed(settings={"media": {"directories": [str(publisher.directory / "stick")]}})
    device = floor.device("device", settings={"health": {"settle": 3}})
    async with powered([seed]):
        for _ in range(2):
            await device.start()
            assert device.process is not None
            if device.boots == 1:
                await device.process.wait()
        await until(lambda: _in(device, "trial"), 20, "trial")
        await device.stop(signal.SIGKILL)
        await device.start(power_on_first=False)
        await until(lambda: _in(device, "confirmed"), 30, "confirmed")


async def _in(device: Device, phase: str) -> bool:
    return await phases([device]) == [phase]
