"""The peer API over real sockets on loopback, with callers of every kind."""

import asyncio
import contextlib
import hashlib
import socket
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from p2pupd.api.limits import Gate
from p2pupd.api.peer import listen, peer_app, serve
from p2pupd.api.settings import PeerApiSettings
from p2pupd.errors import HostError
from p2pupd.model.device import Role
from p2pupd.model.ids import NO_MANIFEST, DeviceId, ManifestDigest, Realm, Sha256
from p2pupd.model.setting import Bytes, Seconds
from p2pupd.wire.messages import Hello, Notify, decode_hello
from tests.support import eventually, running

HOST = "127.0.0.1"
SETTINGS = PeerApiSettings(listen=(HOST,), port=0)
HELLO = Hello(DeviceId("a" * 52), Realm("0" * 16), NO_MANIFEST, Role.PEER, 7830, 6881, "0.1.0")
NOTIFY = Notify(DeviceId("b" * 52), ManifestDigest("c" * 64), 7830)
CONTENT = bytes(range(256)) * 1000
DIGEST = Sha256(hashlib.sha256(CONTENT).hexdigest())


class Device:
    """A `PeerState` that holds what the test gives it."""

    def __init__(self) -> None:
        self.manifest: bytes | None = None
        self.files: dict[str, Path] = {}
        self.heard: list[tuple[Notify, str]] = []
        self.lines: Callable[[], bytes] = lambda: b"lines"
        self.thinking = asyncio.Event()
        self.thinking.set()

    def hello(self) -> Hello:
        return HELLO

    def bundle(self) -> tuple[ManifestDigest, bytes] | None:
        if self.manifest is None:
            return None
        return ManifestDigest(hashlib.sha256(self.manifest).hexdigest()), self.manifest

    async def artifact(self, sha256: Sha256, _part: tuple[int, int] | None = None) -> Path | None:
        await self.thinking.wait()
        return self.files.get(sha256)

    async def layer(self, sha256: Sha256) -> bytes | None:
        path = await self.artifact(Sha256(f"{sha256}/layer"))
        return path.read_bytes() if path else None

    def sent(self, sha256: Sha256, amount: int) -> None: ...

    async def log(self) -> bytes:
        return self.lines()

    async def sync(self, raw: bytes) -> bytes:
        return raw

    def notified(self, notify: Notify, address: str) -> None:
        self.heard.append((notify, address))


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Caller:
    def __init__(self, device: Device, session: aiohttp.ClientSession, port: int) -> None:
        self.device = device
        self.session = session
        self.port = port

    def url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}/peer/v1/{path}"

    async def get(self, path: str, **headers: str) -> Answer:
        async with self.session.get(self.url(path), headers=headers) as response:
            return Answer(response.status, response.headers, await response.read())

    async def post(self, body: bytes) -> int:
        async with self.session.post(self.url("notify"), data=body) as response:
            return response.status

    async def connect(self, receive_buffer: int = 0) -> socket.socket:
        """A plain socket, for what a well-behaved client library does not do."""
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (HOST, self.port))
        return sock


@asynccontextmanager
async def served(settings: PeerApiSettings = SETTINGS) -> AsyncIterator[Caller]:
    device = Device()
    sockets = listen(settings)
    port = sockets[0].getsockname()[1]
    async with (
        running(serve(peer_app(device, settings), sockets, settings)),
        aiohttp.ClientSession(auto_decompress=False) as session,
    ):
        yield Caller(device, session, port)


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async with served() as running_caller:
        yield running_caller


@pytest.fixture
def artifact(caller: Caller, tmp_path: Path) -> str:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    caller.device.files[DIGEST] = path
    return f"artifact/{DIGEST}"


async def until_closed(sock: socket.socket) -> bytes:
    """Everything that still comes until the server closes or resets."""
    received = b""
    async with asyncio.timeout(10):
        try:
            while chunk := await asyncio.get_running_loop().sock_recv(sock, 65536):
                received += chunk
        except ConnectionError:
            pass
    return received


async def test_hello_says_who_answers(caller: Caller) -> None:
    async with caller.session.get(caller.url("hello")) as response:
        assert decode_hello(await response.read()) == HELLO
        assert response.headers["Server"] == "p2pupd"


async def test_a_device_without_a_manifest_has_no_bundle(caller: Caller) -> None:
    assert (await caller.get("bundle")).status == 404


async def test_the_bundle_travels_deflated_with_its_digest_as_tag(caller: Caller) -> None:
    caller.device.manifest = b"signed " * 1000
    digest = hashlib.sha256(caller.device.manifest).hexdigest()

    for _ in range(2):
        response = await caller.get("bundle", **{"Accept-Encoding": "deflate"})

        assert response.headers["ETag"] == f'W/"{digest}"'
        assert len(response.body) < 200
        assert zlib.decompress(response.body) == caller.device.manifest


async def test_a_client_that_cannot_inflate_gets_it_plain(caller: Caller) -> None:
    caller.device.manifest = b"signed " * 100_000

    response = await caller.get("bundle", **{"Accept-Encoding": "identity"})
    assert response.body == caller.device.manifest


@pytest.mark.parametrize("tag", ['W/"{}"', '"{}"', '"0", "{}"', "*"])
async def test_who_has_the_bundle_is_told_so(caller: Caller, tag: str) -> None:
    caller.device.manifest = b"signed"
    digest = hashlib.sha256(b"signed").hexdigest()

    response = await caller.get("bundle", **{"If-None-Match": tag.format(digest)})
    assert (response.status, response.body) == (304, b"")


async def test_a_notification_reaches_the_device_with_the_callers_address(caller: Caller) -> None:
    assert await caller.post(NOTIFY.encode()) == 204
    assert caller.device.heard == [(NOTIFY, HOST)]


@pytest.mark.parametrize("path", ["", "hello/x", "artifact/abc", f"artifact/{'0' * 64}", "sink"])
async def test_what_is_unknown_is_not_found(caller: Caller, path: str) -> None:
    assert (await caller.get(path)).status == 404


async def test_a_verified_artifact_is_sent_whole(caller: Caller, artifact: str) -> None:
    response = await caller.get(artifact)

    assert response.status == 200
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.body == CONTENT


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=255990-", 255_990, 256_000), ("bytes=-1", 255_999, 256_000)],
)
async def test_one_range_is_sent_alone(
    caller: Caller, artifact: str, wanted: str, start: int, end: int
) -> None:
    response = await caller.get(artifact, Range=wanted)

    assert response.status == 206
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/256000"
    assert response.body == CONTENT[start:end]


@pytest.mark.parametrize("wanted", ["bytes=256000-", "bytes=0-1,3-4"])
async def test_a_range_that_cannot_be_had_is_416(
    caller: Caller, artifact: str, wanted: str
) -> None:
    response = await caller.get(artifact, Range=wanted)

    assert response.status == 416
    assert response.headers["Content-Range"] == "bytes */256000"


async def test_a_range_of_another_artifact_is_answered_with_the_whole(
    caller: Caller, artifact: str
) -> None:
    other = await caller.get(artifact, Range="bytes=0-9", **{"If-Range": '"other"'})
    same = await caller.get(artifact, Range="bytes=0-9", **{"If-Range": f'"{DIGEST}"'})

    assert (other.status, same.status) == (200, 206)


async def test_head_tells_the_length_and_sends_nothing(caller: Caller, artifact: str) -> None:
    async with caller.session.head(caller.url(artifact)) as response:
        assert response.status == 200
        assert response.headers["Content-Length"] == "256000"
        assert await response.read() == b""


async def test_an_artifact_that_vanished_or_is_a_link_is_not_found(
    caller: Caller, artifact: str, tmp_path: Path
) -> None:
    content = caller.device.files[DIGEST]
    link = tmp_path / "link"
    link.symlink_to(content)

    caller.device.files[DIGEST] = link
    assert (await caller.get(artifact)).status == 404
    caller.device.files[DIGEST] = tmp_path / "gone"
    assert (await caller.get(artifact)).status == 404


async def test_an_artifact_that_shrinks_while_it_is_sent_ends_the_connection_early(
    caller: Caller, artifact: str
) -> None:
    loop = asyncio.get_running_loop()
    caller.device.files[DIGEST].write_bytes(bytes(64 * 1024 * 1024))
    with await caller.connect(receive_buffer=4096) as sock:
        await loop.sock_sendall(sock, f"GET /peer/v1/{artifact} HTTP/1.0\r\n\r\n".encode())
        await loop.sock_recv(sock, 1000)
        caller.device.files[DIGEST].write_bytes(b"short")

        assert len(await until_closed(sock)) < 64 * 1024 * 1024


async def test_five_requests_at_once_from_one_address_are_one_too_many(caller: Caller) -> None:
    caller.device.thinking.clear()
    statuses: list[int] = []

    async def ask() -> None:
        statuses.append((await caller.get(f"artifact/{'0' * 64}")).status)

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(ask())
        await eventually(lambda: statuses == [429])
        caller.device.thinking.set()
    assert sorted(statuses) == [404, 404, 404, 404, 429]


async def test_a_storm_of_notifications_is_rate_limited() -> None:
    async with served(replace(SETTINGS, request_rate=0.1, request_burst=20)) as caller:
        statuses = [await caller.post(NOTIFY.encode()) for _ in range(50)]

    assert statuses == [204] * 20 + [429] * 30
    assert len(caller.device.heard) == 20


async def test_a_body_without_end_is_cut_off_at_the_limit(caller: Caller) -> None:
    loop = asyncio.get_running_loop()
    head = b"POST /peer/v1/notify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def send_for_ever(sock: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            await loop.sock_sendall(sock, head)
            while True:
                await loop.sock_sendall(sock, b"400\r\n" + b"x" * 1024 + b"\r\n")

    with await caller.connect() as sock:
        async with running(send_for_ever(sock)):
            assert b" 413 " in await until_closed(sock)
    assert caller.device.heard == []


async def test_a_body_that_never_comes_is_given_up() -> None:
    async with served(replace(SETTINGS, handler_timeout=Seconds(0.05))) as caller:
        with await caller.connect() as sock:
            head = b"POST /peer/v1/notify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
            await asyncio.get_running_loop().sock_sendall(sock, head)

            assert b" 408 " in await until_closed(sock)


async def test_a_header_that_never_ends_is_given_up() -> None:
    async with served(replace(SETTINGS, keep_alive=Seconds(0.05))) as caller:
        with await caller.connect() as sock:
            head = b"GET /peer/v1/hello HTTP/1.1\r\nHo"
            await asyncio.get_running_loop().sock_sendall(sock, head)

            assert await until_closed(sock) == b""


async def test_an_idle_connection_is_closed() -> None:
    async with served(replace(SETTINGS, keep_alive=Seconds(0.05))) as caller:
        with await caller.connect() as sock:
            request = b"GET /peer/v1/hello HTTP/1.1\r\nHost: x\r\n\r\n"
            await asyncio.get_running_loop().sock_sendall(sock, request)

            assert b" 200 " in await until_closed(sock)


async def test_a_reader_that_takes_nothing_is_cut_off_and_frees_its_place(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    settings = replace(
        SETTINGS, stall=Seconds(0.1), least_rate=Bytes(1 << 30), requests_per_address=1
    )
    async with served(settings) as caller:
        caller.device.files[DIGEST] = large
        with await caller.connect(receive_buffer=4096) as sock:
            request = f"GET /peer/v1/artifact/{DIGEST} HTTP/1.1\r\nHost: x\r\n\r\n"
            await asyncio.get_running_loop().sock_sendall(sock, request.encode())

            async with asyncio.timeout(10):
                while (await caller.get("hello")).status != 200:
                    await asyncio.sleep(0)
            assert len(await until_closed(sock)) < 64 * 1024 * 1024


async def test_connections_are_bounded_for_one_address_and_for_all() -> None:
    for settings in (
        replace(SETTINGS, connections_per_address=2),
        replace(SETTINGS, connections=2),
    ):
        async with served(settings) as caller, AsyncExitStack() as stack:
            first, second = [stack.enter_context(await caller.connect()) for _ in range(2)]
            request = b"GET /peer/v1/hello HTTP/1.1\r\nHost: x\r\n\r\n"
            loop = asyncio.get_running_loop()
            for sock in (first, second):
                await loop.sock_sendall(sock, request)
                assert await loop.sock_recv(sock, 1000)

            third = stack.enter_context(await caller.connect())
            assert await until_closed(third) == b""


async def test_a_compressed_request_is_not_inflated(caller: Caller) -> None:
    body = zlib.compress(NOTIFY.encode())
    async with caller.session.post(
        caller.url("notify"), data=body, headers={"Content-Encoding": "deflate"}
    ) as response:
        assert response.status == 400


def test_callers_that_are_remembered_are_bounded() -> None:
    gate = Gate(replace(SETTINGS, addresses=16), lambda: 0.0)

    for number in range(1000):
        with gate.admitted(f"10.0.{number // 256}.{number % 256}") as admitted:
            assert admitted
    assert len(gate) == 16


async def test_a_port_that_is_taken_is_said_with_its_address() -> None:
    (taken,) = listen(SETTINGS)
    with taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=f"cannot listen on 127.0.0.1 port {port}"):
            listen(replace(SETTINGS, listen=("127.0.0.2", HOST), port=port))


async def test_all_addresses_share_one_port() -> None:
    sockets = listen(replace(SETTINGS, listen=(HOST, "127.0.0.2")))
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
    finally:
        for sock in sockets:
            sock.close()
