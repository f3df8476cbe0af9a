"""The main job on a real network: one stick, no internet, every device, and one that comes late."""

from pathlib import Path

import pytest

from scenarios.lib.fleet import Fleet, Publisher, all_reach, fleet, knows, powered
from scenarios.lib.net import network
from tests.support import needs_root

MIB = 1 << 20
DEVICES = 8


def _slot(device_directory: Path) -> bytes:
    return (device_directory / "slot_b").read_bytes()


@needs_root
@pytest.mark.timeout(180)
async def test_release_on_stick_reaches_every_device_without_internet(tmp_path: Path) -> None:
    publisher = await Publisher(tmp_path / "office").init()
    image = await publisher.release(64 * MIB)
    with network() as net:
        async with fleet(net, publisher.anchor) as floor:
            await _scenario(floor, publisher, image.read_bytes())


async def _scenario(floor: Fleet, publisher: Publisher, image: bytes) -> None:
    assert floor.net is not None
    seed_host = floor.net.host()
    seed = floor.seed(host=seed_host)
    devices = [floor.device(f"d{number}") for number in range(1, DEVICES + 1)]
    async with powered([seed, *devices]):
        await knows(seed, DEVICES)
        await publisher.stick(floor.stick)
        await all_reach(devices, "confirmed", within=90)
        assert all(_slot(each.directory) == image for each in devices)

        floor.net.unplug(seed_host)
        late = floor.device("late")
        async with powered([late]):
            await all_reach([late], "confirmed", within=60)
            assert _slot(late.directory) == image
            assert (await late.received())["lan"] >= len(image)
