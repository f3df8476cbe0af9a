"""Devices without libtorrent, and devices that keep nothing, among ordinary ones."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from p2pupd.demo.device import Device
from p2pupd.model.ids import Sha256
from scenarios.lib.fleet import Fleet, Json, all_reach, events, fleet, on, powered, until
from scenarios.lib.office import Office

SIZE = 3 * 1024 * 1024
QUICK: dict[str, Json] = {"health": {"interval": 0.05, "successes": 1, "settle": 0.0}}
BARE = (sys.executable, "-m", "tests.without_libtorrent", str(os.getpid()))


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "office", SIZE)
    made.release(1)
    return made


@pytest.fixture
async def floor(office: Office) -> AsyncIterator[Fleet]:
    async with fleet(None, office.anchor) as made:
        yield made


async def provided(seed: Device, office: Office, stick: Path) -> None:
    """A stick goes into the seed."""
    await until(seed.status, 20, "seed answers")
    await on(seed, "import", str(office.stick(stick)))


def slots(device: Device) -> set[bytes]:
    return {(device.directory / f"slot_{each}").read_bytes() for each in "ab"}


async def test_a_device_without_libtorrent_is_updated_and_updates_another(
    office: Office, floor: Fleet, tmp_path: Path
) -> None:
    image = office.image(SIZE, seed=1).read_bytes()
    seed = floor.seed()
    bare = floor.device("bare", settings=QUICK, python=BARE)
    other = floor.device("other", settings=QUICK, python=BARE)
    async with powered([bare, other]):
        async with powered([seed]):
            await provided(seed, office, tmp_path / "stick")
            await all_reach([bare], "confirmed", 60)
        await all_reach([other], "confirmed", 60)
        assert image in slots(bare)
        assert image in slots(other)
        for each in (bare, other):
            assert (await each.received())["lan"] == SIZE
            assert "swarm.no-libtorrent" in each.log_file.read_text()
            assert " bt=0" in each.log_file.read_text()


async def test_a_device_that_was_told_to_use_http_does_not_load_libtorrent(
    office: Office, floor: Fleet, tmp_path: Path
) -> None:
    seed = floor.seed()
    device = floor.device("plain", settings=QUICK | {"swarm": {"backend": "http"}})
    async with powered([seed, device]):
        await provided(seed, office, tmp_path / "stick")
        await all_reach([device], "confirmed", 60)
        assert device.process
        assert "libtorrent" not in Path(f"/proc/{device.process.pid}/maps").read_text()


async def test_libtorrent_that_was_asked_for_and_is_missing_ends_the_daemon(floor: Fleet) -> None:
    device = floor.device("bare", python=BARE, settings={"swarm": {"backend": "libtorrent"}})
    await device.start()
    assert device.process
    assert await device.process.wait() == 3
    assert "swarm.backend is `libtorrent`" in device.tail()


@pytest.mark.parametrize("backend", ["libtorrent", "http"])
async def test_a_leech_gives_nothing_of_what_it_keeps(
    office: Office, floor: Fleet, tmp_path: Path, backend: str
) -> None:
    image = office.image(SIZE, seed=1).read_bytes()
    seed = floor.seed()
    settings = QUICK | {"swarm": {"backend": backend}, "store": {"leech_cache": "64M"}}
    leech = floor.device("leech", role="leech", settings=settings)
    peer = floor.device("peer", settings=QUICK)
    async with powered([leech]):
        async with powered([seed]):
            await provided(seed, office, tmp_path / "stick")
            await all_reach([leech], "confirmed", 60)
        assert image in slots(leech)
        assert digest(leech) == digest(seed)
        async with powered([peer]):
            await until(lambda: knows_of(peer, leech), 20, "peer knows the leech")
            await all_reach([peer], "fetching", 20)
            port = (await peer.ask("/v1/peers"))[0]["port"]
            async with aiohttp.ClientSession() as session:
                for what in ("", "/layer"):
                    url = f"http://{leech.address}:{port}/peer/v1/artifact/{digest(seed)}{what}"
                    async with session.get(url) as answer:
                        assert answer.status == 404
            status = await leech.status()
            assert status
            assert sum(each["bytes"]["sent"] for each in status["transfers"]) == 0


async def test_a_leech_keeps_nothing_of_what_it_installed(
    office: Office, floor: Fleet, tmp_path: Path
) -> None:
    image = office.image(SIZE, seed=1).read_bytes()
    leech = floor.device("leech", role="leech", settings=QUICK)
    async with powered([leech]):
        await until(leech.status, 20, "leech answers")
        await on(leech, "import", str(office.stick(tmp_path / "stick")))
        await all_reach([leech], "confirmed", 60)
        assert image in slots(leech)
        await until(lambda: emptied(leech), 10, "the leech's store is empty")


def digest(device: Device) -> Sha256:
    """Of the one artifact that it holds."""
    (found,) = (device.directory / "store").iterdir()
    return Sha256(found.name)


async def emptied(device: Device) -> bool:
    return not list((device.directory / "store").iterdir())


async def knows_of(one: Device, other: Device) -> bool:
    peers = await one.ask("/v1/peers") or []
    return any(each["host"] == other.address for each in peers)


async def test_a_leech_keeps_what_its_cache_has_room_for(
    office: Office, floor: Fleet, tmp_path: Path
) -> None:
    seed = floor.seed()
    settings = QUICK | {"store": {"leech_cache": "4M"}}
    leech = floor.device("leech", role="leech", settings=settings)
    async with powered([seed, leech]):
        await provided(seed, office, tmp_path / "stick")
        await all_reach([leech], "confirmed", 60)
        first = digest(seed)
        office.release(2)
        await on(seed, "import", str(office.stick(tmp_path / "stick-2")))
        await until(lambda: confirmed_twice(leech), 60, "release 2 is confirmed")
        await until(lambda: holds_one(leech), 10, "one artifact is left")
        assert not (leech.directory / "store" / first).exists()


async def confirmed_twice(device: Device) -> bool:
    return [line["event"] for line in await events(device)].count("deployment.confirmed") == 2


async def holds_one(device: Device) -> bool:
    return len(list((device.directory / "store").iterdir())) == 1
