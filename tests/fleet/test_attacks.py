"""What somebody on the network, or a wrong installation, does to a running daemon."""

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from p2pupd.demo.device import Device
from p2pupd.feeds.repository import read_repository
from p2pupd.feeds.settings import MediaSettings
from p2pupd.model.device import Role
from p2pupd.model.ids import DeviceId, ManifestDigest, Realm
from p2pupd.wire import bundle
from p2pupd.wire.bundle import Bundle
from p2pupd.wire.messages import Hello, Notify
from scenarios.lib.fleet import (
    Fleet,
    Json,
    all_reach,
    events,
    fleet,
    on,
    p2pupd,
    powered,
    until,
)
from scenarios.lib.office import Office
from tests.sticks import endless_directories

SIZE = 256 * 1024
QUICK: dict[str, Json] = {
    "health": {"interval": 0.05, "successes": 1, "settle": 0.0},
    "discovery": {"mdns": False, "networks": ["127.0.0.0/8"]},
}


WRONG = (
    ("import", b'{"path": "relative"}'),
    ("import", b'{"path": "/a\\u0000b"}'),
    ("export", b'{"path": "/\\ud800"}'),
    ("approve", b'{"release": -1}'),
    ("approve", b'{"release": 1e400}'),
    ("approve", b'{"release": 999999999999999999999, "again": true}'),
    ("approve", b"[" * 30_000),
    ("approve", b"\xff"),
)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "office", SIZE)
    made.release(1)
    return made


@pytest.fixture
async def floor(office: Office) -> AsyncIterator[Fleet]:
    async with fleet(None, office.anchor) as made:
        yield made


class Liar:
    """A neighbour by many names that has something else at each question."""

    def __init__(self, address: str, port: int, realm: str, lie: Callable[[], bytes]) -> None:
        self.id = DeviceId(base64.b32encode(os.urandom(32)).decode().rstrip("=").lower())
        self.told = 0
        self._address, self._port, self._realm, self._lie = address, port, Realm(realm), lie
        self._has = lie()

    @property
    def _digest(self) -> ManifestDigest:
        return ManifestDigest(hashlib.sha256(self._has).hexdigest())

    @property
    def notify(self) -> bytes:
        return Notify(self.id, self._digest, self._port).encode()

    @asynccontextmanager
    async def lying(self) -> AsyncIterator[None]:
        app = web.Application()
        app.add_routes([web.get("/peer/v1/hello", self._hello)])
        app.add_routes([web.get("/peer/v1/bundle", self._bundle)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, self._address, self._port).start()
        try:
            yield
        finally:
            await runner.cleanup()

    async def _hello(self, _: web.Request) -> web.Response:
        hello = Hello(self.id, self._realm, self._digest, Role.SEED, self._port, 0, "1")
        return web.Response(body=hello.encode())

    async def _bundle(self, _: web.Request) -> web.Response:
        self.told += 1
        raw, self._has = self._has, self._lie()
        return web.Response(body=raw)


async def _lie_to(device: Device, lie: Callable[[], bytes], times: int) -> None:
    """Let some liars have their bundles fetched so often, as fast as the device allows."""
    status = await device.status()
    assert status is not None
    address = device.address.rpartition(".")[0] + ".200"
    liars = [Liar(address, 9000 + number, status["realm"], lie) for number in range(8)]
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        for liar in liars:
            async with liar.lying():
                while liar.told < times / len(liars):
                    url = f"http://{device.address}:7830/peer/v1/notify"
                    async with session.post(url, data=liar.notify):
                        await asyncio.sleep(0.06)


def unsigned() -> bytes:
    """Nobody has signed it."""
    return bundle.encode(Bundle({"timestamp.json": os.urandom(64)}))


async def test_a_lying_neighbour_leaves_no_trace_in_the_journal(
    floor: Fleet, office: Office, tmp_path: Path
) -> None:
    stick = office.stick(tmp_path / "stick")
    signed = dict(bundle.decode(read_repository(stick / "p2pupd", MediaSettings())).files)

    def padded() -> bytes:
        """The accepted manifest, with something in it that nobody asks for."""
        return bundle.encode(Bundle(signed | {"9.rubbish.json": os.urandom(64)}))

    device = floor.device("device", settings=QUICK)
    async with powered([device]):
        await until(device.status, 15, "daemon answers")
        await on(device, "import", str(stick))
        await all_reach([device], "confirmed", 20)
        before = await device.status()
        known = [each for each in await events(device) if each["event"] == "phase.changed"]
        for lie in (unsigned, padded):
            await _lie_to(device, lie, 24)
        after = await device.status()
        assert before is not None
        assert after is not None
        assert after["deployment"] == before["deployment"]
        history = await events(device)
        assert [each for each in history if each["event"] == "phase.changed"] == known
        assert 1 <= sum(each["event"] == "offer.refused" for each in history) <= 6
        await on(device, "rollback", expect=120)
        await all_reach([device], "reverted", 20)


async def test_a_second_daemon_keeps_away_from_a_state_directory_in_use(floor: Fleet) -> None:
    device = floor.device("device", settings=QUICK)
    async with powered([device]):
        await until(device.status, 15, "daemon answers")
        port = ("--config", str(device.config_file), "--set", "peer.port=0")
        assert "another p2pupd daemon" in await p2pupd("daemon", *port, expect=1)
        assert await device.status() is not None


async def test_a_device_whose_bootloader_ignores_it_stops_restarting(
    floor: Fleet, office: Office, tmp_path: Path
) -> None:
    settings = QUICK | {"media": {"directories": [str(office.stick(tmp_path / "s"))], "poll": 0.1}}
    device = floor.device("device", settings=settings)

    async def always_the_same_slot() -> None:
        while True:
            await device.start(power_on_first=False)
            assert device.process is not None
            await device.process.wait()

    async with asyncio.TaskGroup() as group:
        supply = group.create_task(always_the_same_slot())
        await all_reach([device], "reverted", 40)
        supply.cancel()
    assert device.boots <= 4


async def test_an_artifact_that_rots_while_it_waits_is_brought_again(
    floor: Fleet, office: Office, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    office.stick(stick)
    seed = floor.seed(settings={"media": {"directories": [str(stick)], "poll": 0.1}} | QUICK)
    peers = QUICK["discovery"] | {"peers": [f"{seed.address}:7830"], "peer_interval": 1}
    settings = QUICK | {"device": {"consent": True}, "discovery": peers}
    device = floor.device("device", settings=settings)
    async with powered([seed, device]):
        await all_reach([device], "waiting", 20)
        (stored,) = (device.directory / "store").glob("*/" + "[0-9a-f]" * 64)
        with stored.open("r+b") as file:
            file.seek(1000)
            file.write(b"rotten")
        await on(device, "approve", "1")
        await all_reach([device], "confirmed", 30)
        status = await device.status()
        assert status is not None
        assert status["bad"] == []


async def test_a_caller_that_lies_or_leaves_costs_the_daemon_nothing(
    floor: Fleet, office: Office, tmp_path: Path
) -> None:
    device = floor.device("device", settings=QUICK)
    stick = office.stick(tmp_path / "stick")
    async with powered([device]):
        await until(device.status, 15, "daemon answers")
        connector = aiohttp.UnixConnector(str(device.directory / "control.sock"))
        async with aiohttp.ClientSession("http://device", connector=connector) as session:
            for call, body in WRONG:
                async with session.post(f"/v1/{call}", data=body) as answer:
                    assert answer.status == 400
                    assert (await answer.json())["error"]["code"] == 2
            for call in ("import", "export"):
                async with session.post(f"/v1/{call}", json={"path": str(stick)}) as answer:
                    answer.close()
        await all_reach([device], "confirmed", 20)
        assert "Traceback" not in device.tail(1000)


async def test_directories_without_end_are_not_followed_to_it(floor: Fleet, tmp_path: Path) -> None:
    with endless_directories(tmp_path / "p2pupd"):
        watched = {"media": {"directories": [str(tmp_path)], "poll": 0.05}}
        device = floor.device("device", settings=QUICK | watched)
        async with powered([device]):
            await until(device.status, 15, "daemon answers")
            await asyncio.wait_for(_stays(device), 5)
        assert device.boots == 1


async def _stays(device: Device) -> None:
    """The directory has been looked at a few times, and the daemon answers."""
    for _ in range(10):
        assert await device.status() is not None
