"""Where every byte of a floor came from, as `status` and the metrics of real daemons tell."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from p2pupd.demo.device import Device
from scenarios.lib.accounts import METRICS_PORT as PORT
from scenarios.lib.accounts import came, scraped, told
from scenarios.lib.fleet import Fleet, Json, all_reach, fleet, knows, on, powered, until
from scenarios.lib.office import Office

MIB = 1 << 20
SIZE = 8 * MIB
QUICK: dict[str, Json] = {"health": {"interval": 0.05, "successes": 1, "settle": 0.0}}


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "office", SIZE)
    made.release(1)
    return made


@pytest.fixture
async def floor(office: Office) -> AsyncIterator[Fleet]:
    async with fleet(None, office.anchor) as made:
        yield made


def measured(device: Device) -> Device:
    """The same device, whose metrics can be read over TCP too."""
    device.settings = {**device.settings, "metrics": {"listen": f"{device.address}:{PORT}"}}
    device.prepare()
    return device


async def test_on_every_device_the_sources_sum_to_the_artifact(
    office: Office, floor: Fleet, tmp_path: Path
) -> None:
    seed = measured(floor.seed(settings={"media": {"directories": [str(tmp_path / "stick")]}}))
    devices = [measured(floor.device(name, settings=QUICK)) for name in ("one", "two")]
    office.stick(tmp_path / "stick")
    async with powered([seed, *devices]):
        await all_reach(devices, "confirmed", within=60)
        assert came(await scraped(seed)) == await told(seed) == {"usb": SIZE}
        assert "from usb 8.0 MiB" in await on(seed, "status")
        for each in devices:
            socket, tcp = await scraped(each, "socket"), await scraped(each)
            assert "from lan 8.0 MiB" in await on(each, "status")
            assert came(socket) == came(tcp) == await told(each) == {"lan": SIZE}
            assert tcp["p2pupd_deployments_total", "confirmed"] == 1
            assert tcp["p2pupd_deployments_total", "reverted"] == 0
            assert tcp["p2pupd_last_success_timestamp_seconds",] > 1.7e9
            assert tcp["p2pupd_installed_release", "demo-os"] == 1
            assert tcp["p2pupd_store_used_bytes",] >= SIZE
            assert tcp["p2pupd_payload_moving",] == 1
            assert ("p2pupd_uplink_available",) not in tcp

        async def sent() -> float:
            """A seed that fetches nothing looks at its counters every two seconds only."""
            count = (await scraped(seed))["p2pupd_bytes_total", "out", "lan"]
            return count if count >= SIZE else 0

        assert await until(sent, 10, "the seed's counters") <= 2.2 * SIZE


async def test_a_device_that_is_killed_in_mid_fetch_still_sums_up(
    office: Office, floor: Fleet, tmp_path: Path
) -> None:
    stick = {"directories": [str(office.stick(tmp_path / "stick"))], "poll": 0.2}
    seed = floor.seed(settings={"media": stick, "limits": {"upload": 2 * MIB}})
    device = measured(floor.device("device", settings=QUICK))
    async with powered([seed, device]):

        async def half() -> bool:
            try:
                return came(await scraped(device)).get("lan", 0) > SIZE // 2
            except aiohttp.ClientError:
                return False

        await until(half, 60, "half of it is here")
        await device.stop(signal.SIGKILL)
        await until(device.status, 20, "it is back")
        await all_reach([device], "confirmed", within=60)
        assert came(await scraped(device)) == await told(device) == {"lan": SIZE}


@pytest.mark.parametrize("where", ["seed", "device"])
async def test_what_is_complete_is_counted_after_a_restart_too(
    office: Office, floor: Fleet, tmp_path: Path, where: str
) -> None:
    stick = {"directories": [str(office.stick(tmp_path / "stick"))], "poll": 0.2}
    seed = measured(floor.seed(settings={"media": stick}))
    device = measured(floor.device("device", settings=QUICK))
    subject, source = (seed, "usb") if where == "seed" else (device, "lan")
    async with powered([seed, device]):
        await all_reach([device], "confirmed", within=60)
        boots = subject.boots
        await subject.stop(signal.SIGKILL)
        await until(lambda: _booted(subject, boots), 20, "it is back")

        async def counted() -> dict[str, int]:
            return came(await scraped(subject))

        assert await until(counted, 20, "counts are back") == {source: SIZE}


async def _booted(device: Device, before: int) -> bool:
    return device.boots > before and await device.status() is not None


async def test_what_the_peer_api_sends_is_sent(
    office: Office, floor: Fleet, tmp_path: Path
) -> None:
    """The device asks for nothing, it only tells where the seed's peer API is."""
    seed, device = measured(floor.seed()), floor.device("device", role="leech", installs=False)
    async with powered([seed, device]):
        await knows(device, 1)
        await on(seed, "import", str(office.stick(tmp_path / "stick")))
        status, (neighbour,) = await seed.status(), await device.ask("/v1/peers")
        assert status is not None
        root = f"http://{seed.address}:{neighbour['port']}/peer/v1/artifact"
        async with aiohttp.ClientSession() as session:
            for part in ("bytes=0-", "bytes=100-4195"):
                url, headers = f"{root}/{status['stored'][0]['sha256']}", {"Range": part}
                async with session.get(url, headers=headers) as answer:
                    await answer.read()
        await until(lambda: _sent(seed, SIZE + 4096), 10, "it is counted")
        assert "from usb 8.0 MiB; sent 8.0 MiB" in await on(seed, "status")


async def _sent(device: Device, expected: int) -> bool:
    status, figures = await device.status(), await scraped(device)
    assert status is not None
    told = {each["bytes"]["sent"] for each in (*status["transfers"], *status["stored"])}
    return told == {expected} == {int(figures["p2pupd_bytes_total", "out", "lan"])}


async def test_an_address_that_cannot_be_listened_on_ends_the_daemon(floor: Fleet) -> None:
    device = floor.device("device", settings={"metrics": {"listen": "192.0.2.1:9830"}})
    await device.start()
    assert device.process
    async with asyncio.timeout(30):
        assert await device.process.wait() != 0
    assert "cannot listen on 192.0.2.1 port 9830" in device.tail()
    assert "Traceback" not in device.tail(200)
