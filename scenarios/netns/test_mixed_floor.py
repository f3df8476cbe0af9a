"""Devices of every kind on one floor: whichever way its bytes came, each can account for them."""

import signal
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from scenarios.lib.accounts import SOURCES, came, scraped
from scenarios.lib.fleet import WAITS, Json, all_reach, bytes_of, fleet, knows, powered, until
from scenarios.lib.net import network
from scenarios.lib.office import Office
from tests.serving import served
from tests.support import needs_root

MIB = 1 << 20
SIZE = 12 * MIB
MBIT = 50
PORT = 8000
SEED_RATE = {"limits": {"upload": 4 * MIB}}
"""So that there is a middle of the transfer for all of them."""


@needs_root
@pytest.mark.timeout(120)
async def test_on_every_kind_of_device_the_sources_sum_to_the_artifact(tmp_path: Path) -> None:
    office = Office(tmp_path / "office", 64 * 1024)
    office.release(1, hardware="another-board")
    async with AsyncExitStack() as stack:
        net = stack.enter_context(network(MBIT))
        server = net.host()
        stack.enter_context(served(office.directory, f"{server.address}:{PORT}", server.prefix))
        url = {"url": f"http://{server.address}:{PORT}", "interval": 1, "rate": "2M"}
        floor = await stack.enter_async_context(fleet(net, office.anchor))
        seed = floor.seed(settings=SEED_RATE)
        linked = floor.device("linked", settings=WAITS | {"uplink": url})
        killed = floor.device("killed", settings=WAITS)
        leech = floor.device("leech", role="leech", settings=WAITS)
        plain = floor.device("plain", settings=WAITS | {"swarm": {"backend": "http"}})
        devices = [linked, killed, leech, plain]
        await stack.enter_async_context(powered([seed, *devices]))
        for each in [seed, *devices]:
            await knows(each, len(devices))

        office.size = SIZE
        office.release(2)
        pocket = office.stick(floor.directory / "pocket")
        await until(lambda: _more(linked, "uplink", MIB), 20, "the uplink brings something")
        pocket.rename(floor.stick)
        await until(lambda: _more(killed, "lan", SIZE // 3), 20, "a third of it is there")
        boots = killed.boots
        await killed.stop(signal.SIGKILL)
        await all_reach(devices, "waiting", within=50)

        assert killed.boots > boots
        sources = {each.name: await _accounted(each) for each in [seed, *devices]}
        assert sources["seed"]["usb"] > 0
        assert sources["linked"]["uplink"] >= MIB
        assert sources["linked"]["lan"] > 0
        for name in ("killed", "leech", "plain"):
            assert sources[name] == {"lan": SIZE}


async def _more(device: Device, source: str, count: int) -> bool:
    return int((await bytes_of(device))[source]) > count


async def _accounted(device: Device) -> dict[str, int]:
    """Where its image came from, as status tells; the metrics tell the same of all it has."""

    async def complete() -> list[Json]:
        status = await device.status()
        stored: list[Json] = status["stored"] if status else []
        here = any(each["length"] == SIZE for each in stored)
        return stored if here and all(each["verified"] for each in stored) else []

    stored = await until(complete, 20, f"{device.name} has all of it")
    by_length = {each["length"]: _sources(each["bytes"]) for each in stored}
    assert {length: sum(found.values()) for length, found in by_length.items()} == {
        length: length for length in by_length
    }
    total = Counter[str]()
    for found in by_length.values():
        total.update(found)
    assert came(await scraped(device, "socket")) == total
    return by_length[SIZE]


def _sources(counts: dict[str, int]) -> dict[str, int]:
    return {source: counts[source] for source in SOURCES if counts[source]}
