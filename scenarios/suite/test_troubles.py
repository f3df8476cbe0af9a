"""What a floor goes through, and comes out of with every device on the release."""

import signal
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from scenarios.lib import faults
from scenarios.lib.fleet import WAITS, all_reach, bytes_of, fleet, knows, phases, powered, until
from scenarios.lib.floor import MIB, PATIENT, floor_of, runs
from scenarios.lib.ground import Ground
from scenarios.lib.office import Office
from scenarios.lib.spread import BLOCK, files_of
from scenarios.lib.stick import Stick
from tests.serving import served

SMALL = 256 * 1024
PORT = 8000
PEER_PORT = 7830


@pytest.mark.timeout(150)
async def test_a_partition_heals_and_the_other_half_gets_the_release_too(
    ground: Ground, tmp_path: Path
) -> None:
    async with floor_of(ground, tmp_path) as floor:
        here, there = floor.devices[:3], floor.devices[3:]
        image = floor.office.release(1)
        with faults.partition(floor.fleet, [floor.seed, *here], there):
            floor.stick().plug_in()
            for each in here:
                await runs(each, 1, image, within=60)
            assert set(await phases(there)) == {"idle"}
        await floor.all_run(1, image, within=90)


@pytest.mark.timeout(120)
async def test_a_lying_neighbour_is_not_believed(ground: Ground, tmp_path: Path) -> None:
    async with floor_of(ground, tmp_path, devices=0, size=2 * MIB) as floor:
        image = floor.office.release(1)
        liar = floor.fleet.device("liar", settings=WAITS)
        honest = [floor.fleet.device(f"d{number}", settings=PATIENT) for number in range(6)]
        async with powered([liar]):
            await knows(liar, 1, within=60)
            floor.stick().plug_in()
            await all_reach([liar], "waiting", within=60)
            _spoil(liar, len(image))
            async with powered(honest):
                for each in honest:
                    await runs(each, 1, image, within=60)


def _spoil(device: Device, length: int) -> None:
    """Change a bit in each block of what it shares."""
    (path,) = files_of(device, length)
    with path.open("r+b") as file:
        for start in range(0, length, BLOCK):
            file.seek(start)
            first = file.read(1)
            file.seek(start)
            file.write(bytes([first[0] ^ 1]))


@pytest.mark.timeout(150)
async def test_with_30_percent_packet_loss_every_device_gets_there(
    ground: Ground, tmp_path: Path
) -> None:
    async with floor_of(ground, tmp_path, size=SMALL) as floor:
        faults.lose(floor.fleet, map(floor.fleet.host_of, floor.everyone), 30)
        image = floor.office.release(1)
        floor.stick().plug_in()
        await floor.all_run(1, image, within=120)


@pytest.mark.timeout(120)
async def test_a_floor_whose_switch_filters_multicast_uses_static_peers(
    ground: Ground, tmp_path: Path
) -> None:
    office = Office(tmp_path / "office", MIB)
    async with fleet(ground, office.anchor) as made:
        host = ground.host()
        seed = made.seed(host=host)
        peers = {"discovery": {"peers": [f"{host.address}:{PEER_PORT}"]}}
        devices = [made.device(f"d{number}", settings=PATIENT | peers) for number in range(7)]
        faults.filter_multicast(made, map(made.host_of, [seed, *devices]))
        async with powered([seed, *devices]):
            await knows(seed, len(devices), within=60)
            image = office.release(1)
            Stick(office, made.directory, made.stick).plug_in()
            for each in devices:
                await runs(each, 1, image, within=60)


@pytest.mark.timeout(120)
async def test_when_an_uplink_dies_another_takes_over(ground: Ground, tmp_path: Path) -> None:
    size = 8 * MIB
    office = Office(tmp_path / "office", size)
    server = ground.host()
    ground.wake(server)
    url = {"url": f"http://{server.address}:{PORT}", "interval": 1, "rate": "1M"}
    office.release(1, hardware="another-board")
    with served(office.directory, f"{server.address}:{PORT}", server.prefix):
        async with fleet(ground, office.anchor) as made:
            linked = PATIENT | {"uplink": url}
            mortal = made.device("mortal", settings=linked | WAITS)
            left = made.device("left", settings=linked)
            others = [made.device(f"d{number}", settings=PATIENT) for number in range(5)]
            await mortal.start()
            async with powered([left, *others]):
                for each in [mortal, left, *others]:
                    await knows(each, 6, within=60)
                image = office.release(2)

                async def brought() -> bool:
                    return int((await bytes_of(mortal))["uplink"]) > MIB

                await until(brought, 40, "the first uplink has brought something")
                await mortal.stop(signal.SIGKILL)
                for each in [left, *others]:
                    await runs(each, 2, image, within=60)


@pytest.mark.timeout(120)
async def test_a_power_cut_of_half_the_floor_costs_only_time(
    ground: Ground, tmp_path: Path
) -> None:
    async with floor_of(ground, tmp_path, size=8 * MIB) as floor:
        ground.limit(floor.fleet.host_of(floor.seed), 40)
        image = floor.office.release(1)
        half = floor.devices[:4]

        async def begun() -> bool:
            return all([(await bytes_of(each))["lan"] > 0 for each in half])

        floor.stick().plug_in()
        await until(begun, 40, "everybody has something of it")
        await faults.power_cut(half)
        await floor.all_run(1, image, within=80)


@pytest.mark.timeout(120)
async def test_a_device_whose_disk_is_full_takes_the_release_when_there_is_room(
    ground: Ground, tmp_path: Path
) -> None:
    async with floor_of(ground, tmp_path, devices=2, size=4 * MIB) as floor:
        host = ground.host()
        disk = ground.disk(host, floor.fleet.directory / "small", 8 * MIB)
        store = {"directory": str(disk.path / "store"), "reserve": MIB}
        short = floor.fleet.device(
            "short", host=host, settings=PATIENT | {"store": store, "device": {"recheck": 1}}
        )
        async with powered([short]):
            await knows(short, 3, within=60)
            disk.fill(5 * MIB)
            image = floor.office.release(1)
            floor.stick().plug_in()
            await floor.all_run(1, image, within=60)
            await all_reach([short], "refused", within=20)
            disk.clear()
            await runs(short, 1, image, within=60)
