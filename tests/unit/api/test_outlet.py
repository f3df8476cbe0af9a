"""Artifacts leave through the line: not when it is stopped, at its pace, under its mark."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from p2pupd.api.peer import listen, peer_app, serve
from p2pupd.api.settings import PeerApiSettings
from p2pupd.core.allowance import Allowance
from p2pupd.engine.limit_settings import LimitSettings
from p2pupd.engine.line import Facts, LineCare
from p2pupd.engine.pausing import PauseFile
from p2pupd.model.device import Role
from p2pupd.model.ids import NO_MANIFEST, DeviceId, ManifestDigest, Realm, Sha256
from p2pupd.model.release import Release, Urgency
from p2pupd.model.setting import Bytes, Seconds
from p2pupd.wire.messages import Hello, Notify
from tests.builders import a_release
from tests.marked import marks
from tests.support import eventually, running
from tests.swarming import an_address

KIB = 1024
CONTENT = bytes(range(256)) * 4 * 512
DIGEST = Sha256(hashlib.sha256(CONTENT).hexdigest())


class Seed:
    """Has one artifact, and a line to care for."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "artifact"
        self.file.write_bytes(CONTENT)
        self.address = an_address()
        self.releases: list[Release] = []
        facts = Facts(Role.SEED, lambda: 0.0, list, lambda: self.releases)
        self.line = LineCare(LimitSettings(), facts, PauseFile(directory), self)
        self.swarm = Allowance()
        self.gave = 0

    def limit(self, allowance: Allowance) -> None:
        self.swarm = allowance

    def hello(self) -> Hello:
        return Hello(DeviceId("a" * 52), Realm("0" * 16), NO_MANIFEST, Role.SEED, 1, 2, "1")

    def bundle(self) -> tuple[ManifestDigest, bytes] | None:
        return None

    async def artifact(self, sha256: Sha256, _part: tuple[int, int] | None) -> Path | None:
        return self.file if sha256 == DIGEST else None

    async def layer(self, sha256: Sha256) -> bytes | None:
        raise AssertionError("nobody asks for a layer here")

    def sent(self, sha256: Sha256, amount: int) -> None:
        assert sha256 == DIGEST
        self.gave += amount

    async def log(self) -> bytes:
        return b"lines"

    async def sync(self, raw: bytes) -> bytes:
        raise AssertionError("nobody compares anything here")

    def notified(self, notify: Notify, address: str) -> None:
        raise AssertionError("nobody tells anything here")


class Caller:
    def __init__(self, seed: Seed, session: aiohttp.ClientSession, port: int) -> None:
        self.seed = seed
        self.session = session
        host = f"[{seed.address}]" if ":" in seed.address else seed.address
        self._root = f"http://{host}:{port}/peer/v1"

    def artifact(
        self, method: str = "GET", **headers: str
    ) -> "aiohttp.client._RequestContextManager":
        return self.session.request(method, f"{self._root}/artifact/{DIGEST}", headers=headers)

    async def greet(self) -> None:
        async with self.session.get(f"{self._root}/hello") as answer:
            await answer.read()


@asynccontextmanager
async def _called(
    seed: Seed, settings: PeerApiSettings | None = None, *, send_buffer: int = 0
) -> AsyncIterator[Caller]:
    settings = replace(settings or PeerApiSettings(), listen=(seed.address,), port=0)
    sockets = listen(settings)
    if send_buffer:
        sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    port = sockets[0].getsockname()[1]
    await seed.line.start()
    connector = aiohttp.TCPConnector(limit=1)
    async with (
        running(serve(peer_app(seed, settings, seed.line), sockets, settings)),
        aiohttp.ClientSession(connector=connector) as session,
    ):
        yield Caller(seed, session, port)


@pytest.fixture
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    async with _called(Seed(tmp_path)) as made:
        yield made


async def test_without_limits_it_is_sent_at_once(caller: Caller) -> None:
    async with caller.artifact() as answer:
        assert (answer.status, await answer.read()) == (200, CONTENT)


async def test_what_went_of_it_is_counted(caller: Caller) -> None:
    async with caller.artifact() as answer:
        await answer.read()
    await eventually(lambda: caller.seed.gave == len(CONTENT))
    for method, wanted in (("GET", "100-299"), ("GET", "99999999-"), ("HEAD", "0-9")):
        async with caller.artifact(method, Range=f"bytes={wanted}") as answer:
            await answer.read()
    await eventually(lambda: caller.seed.gave == len(CONTENT) + 200)


async def test_while_paused_it_is_refused_with_a_time_to_come_back(caller: Caller) -> None:
    await caller.seed.line.pause(60)
    async with caller.artifact() as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "61")
    await caller.greet()
    await caller.seed.line.resume()
    async with caller.artifact() as answer:
        assert await answer.read() == CONTENT


async def test_an_emergency_is_sent_outside_of_windows(caller: Caller) -> None:
    caller.seed.line.configure(LimitSettings(windows=("Mon 00:00-00:01", "Tue 00:00-00:01")))
    async with caller.artifact() as answer:
        assert answer.status == 503
    release = replace(a_release(1), urgency=Urgency.EMERGENCY)
    caller.seed.releases.append(replace(release, artifact=replace(release.artifact, sha256=DIGEST)))
    caller.seed.line.decide()
    async with caller.artifact() as answer:
        assert await answer.read() == CONTENT


async def test_it_keeps_to_the_upload_limit_and_takes_half_of_it(caller: Caller) -> None:
    """Half of 1 MiB/s for half a MiB: the first block goes at once, so seven of eight wait."""
    caller.seed.line.configure(LimitSettings(upload=Bytes(1024 * KIB)))
    clock = asyncio.get_running_loop().time
    began = clock()
    async with caller.artifact() as answer:
        assert caller.seed.swarm.upload == 512 * KIB
        assert await answer.read() == CONTENT
    assert clock() - began >= 0.85
    await eventually(lambda: caller.seed.swarm.upload == 1024 * KIB)


async def test_a_slow_line_is_not_the_readers_fault(tmp_path: Path) -> None:
    """Four seconds pass before the second block; then so much comes that it has to wait."""
    seed = Seed(tmp_path)
    large = CONTENT * 4
    seed.file.write_bytes(large)
    settings = PeerApiSettings(stall=Seconds(3), least_rate=Bytes(64 << 20))
    seed.line.configure(LimitSettings(upload=Bytes(32 * KIB)))
    async with _called(seed, settings, send_buffer=4096) as caller, caller.artifact() as answer:
        await eventually(lambda: answer.content.total_bytes > 0)
        seed.line.configure(LimitSettings())
        await eventually(lambda: answer.content.total_bytes > 128 * KIB)
        assert len(await answer.read()) == len(large)


async def test_a_pause_ends_what_is_being_sent(caller: Caller) -> None:
    caller.seed.line.configure(LimitSettings(upload=Bytes(1024 * KIB)))
    async with caller.artifact() as answer:
        await answer.content.readexactly(64 * KIB)
        await caller.seed.line.pause(None)
        async with asyncio.timeout(5):
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.content.read()
    assert 64 * KIB <= caller.seed.gave < len(CONTENT)


async def test_only_artifacts_carry_the_mark(caller: Caller) -> None:
    """All of it on one connection."""
    address = caller.seed.address
    caller.seed.line.configure(LimitSettings(upload=Bytes(1024 * KIB), dscp=10))
    async with caller.artifact() as answer:
        await answer.content.readexactly(64 * KIB)
        assert 10 in marks(address)
        await answer.read()
    await caller.greet()
    assert marks(address) == {0}


async def test_the_mark_is_put_on_ipv6_too(tmp_path: Path) -> None:
    """As the traffic class, which is where IPv6 has it."""
    seed = Seed(tmp_path)
    seed.address = "::1"
    seed.line.configure(LimitSettings(upload=Bytes(1024 * KIB), dscp=10))
    async with _called(seed) as caller, caller.artifact() as answer:
        await answer.content.readexactly(64 * KIB)
        assert marks("::1") == {0, 10}
