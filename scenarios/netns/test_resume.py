"""Transfers that are cut short on a slow network go on where they were."""

import signal
from pathlib import Path

import pytest

from p2pupd.core.merkle import piece_length_for
from p2pupd.demo.device import Device
from scenarios.lib.fleet import all_reach, events, fleet, knows, on, powered, steady, until
from scenarios.lib.net import network
from scenarios.lib.office import Office
from tests.support import needs_root

MIB = 1 << 20
SIZE = 32 * MIB
MBIT = 50
SLOW_MBIT = 10
PEERS = 2


async def _fetched(device: Device) -> int:
    """Bytes that the device has of the release it fetches."""
    status = await device.status()
    deployment = status["deployment"] if status else None
    if deployment is None or deployment["phase"] != "fetching":
        return 0
    return int(deployment["progress"]["done"])


async def _half_way(device: Device) -> int:
    """Wait until the device has fetched about half; how much."""

    async def reached() -> int:
        done = await _fetched(device)
        return done if done > SIZE * 0.4 else 0

    done = await until(reached, 40, f"{device.name} has fetched half")
    assert done < SIZE * 0.8
    return done


@needs_root
@pytest.mark.timeout(120)
async def test_after_kill_9_no_piece_that_was_there_is_fetched_again(tmp_path: Path) -> None:
    office = Office(tmp_path / "office", SIZE)
    image = office.release(1)
    with network(MBIT) as net:
        async with fleet(net, office.anchor) as floor:
            seed = floor.seed()
            device, other = floor.device("device"), floor.device("other")
            async with powered([seed, device, other]):
                await knows(seed, PEERS)
                await knows(device, PEERS)
                await on(seed, "import", str(office.directory))
                done = await _half_way(device)
                await device.stop(signal.SIGKILL)
                await all_reach([device, other], "confirmed", within=60)
                found = await events(device)
                last = next(each for each in found if each["event"] == "transfer.complete")
                again = int(last["received"]) - (SIZE - done)
                assert int(last["lan"]) == SIZE
                assert again <= PEERS * piece_length_for(SIZE)
            assert (device.directory / "slot_b").read_bytes() == image


@needs_root
@pytest.mark.timeout(120)
async def test_a_seed_that_was_unplugged_is_used_again_when_it_is_back(tmp_path: Path) -> None:
    office = Office(tmp_path / "office", SIZE)
    image = office.release(1)
    with network(MBIT) as net:
        async with fleet(net, office.anchor) as floor:
            host = net.host()
            seed = floor.seed(host=host)
            device = floor.device("device")
            async with powered([seed, device]):
                await knows(seed, 1)
                await on(seed, "import", str(office.directory))
                await _half_way(device)
                net.unplug(host)

                assert 0 < await steady(lambda: _fetched(device), 1, within=20) < SIZE
                net.plug(host)
                await all_reach([device], "confirmed", within=60)
                again = (await device.received())["lan"] - SIZE
                assert again <= piece_length_for(SIZE)
            assert (device.directory / "slot_b").read_bytes() == image


@needs_root
@pytest.mark.timeout(120)
async def test_a_stick_is_taken_instead_of_a_slow_network(tmp_path: Path) -> None:
    office = Office(tmp_path / "office", SIZE)
    image = office.release(1)
    with network(SLOW_MBIT) as net:
        async with fleet(net, office.anchor) as floor:
            seed, device = floor.seed(), floor.device("device")
            async with powered([seed, device]):
                await knows(seed, 1)
                await on(seed, "import", str(office.directory))
                await until(lambda: _fetched(device), 20, "the device fetches")
                await on(device, "import", str(office.directory))
                await all_reach([device], "confirmed", within=60)
                assert (await device.received())["usb"] > SIZE // 2
            assert (device.directory / "slot_b").read_bytes() == image
