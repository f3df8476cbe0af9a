"""The client against servers that do not behave, over real sockets on loopback."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from p2pupd.errors import FetchError, ProtocolError
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.feeds.peer_client import PeerClient
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.ids import NO_MANIFEST, DeviceId, ManifestDigest, Realm
from p2pupd.model.setting import Seconds
from p2pupd.wire import bundle
from p2pupd.wire.messages import Hello, Notify

HOST = "127.0.0.1"
SETTINGS = NeighbourFeedSettings(
    connect_timeout=Seconds(5), answer_timeout=Seconds(5), bundle_timeout=Seconds(5)
)
IMPATIENT = NeighbourFeedSettings(answer_timeout=Seconds(0.1), bundle_timeout=Seconds(0.1))
HELLO = Hello(DeviceId("a" * 52), Realm("0" * 16), NO_MANIFEST, Role.PEER, 7830, 6881, "0.1.0")
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def answer(body: bytes, status: str = "200 OK", headers: str = "") -> Behaviour:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        writer.write(head.encode() + body)

    return behave


async def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        await writer.drain()


@asynccontextmanager
async def server(behave: Behaviour) -> AsyncIterator[tuple[int, list[bytes]]]:
    """(its port, the heads of the requests that came)."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            await behave(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(handle, HOST, 0)
    async with running:
        yield running.sockets[0].getsockname()[1], heads


async def test_a_hello_is_decoded() -> None:
    async with server(answer(HELLO.encode())) as (port, _), PeerClient(SETTINGS) as client:
        assert await client.hello(HOST, port) == HELLO


async def test_the_client_calls_from_the_address_it_was_given() -> None:
    callers: list[str] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer.get_extra_info("peername")[0])
        await answer(HELLO.encode())(reader, writer)

    async with server(note) as (port, _), PeerClient(SETTINGS, "127.0.0.77") as client:
        await client.hello(HOST, port)

    assert callers == ["127.0.0.77"]


@pytest.mark.parametrize("deflated", [False, True])
async def test_a_bundle_comes_as_it_was_sent(deflated: bool) -> None:
    raw = b"signed " * 100_000
    behave = (
        answer(zlib.compress(raw), headers="Content-Encoding: deflate\r\n")
        if deflated
        else answer(raw)
    )
    async with server(behave) as (port, heads), PeerClient(SETTINGS) as client:
        assert await client.bundle(HOST, port, None) == raw

    assert b"Accept-Encoding: deflate" in heads[0]
    assert b"If-None-Match" not in heads[0]


async def test_a_bundle_that_we_have_is_not_sent_again() -> None:
    have = ManifestDigest("c" * 64)
    behave = answer(b"", "304 Not Modified")
    async with server(behave) as (port, heads), PeerClient(SETTINGS) as client:
        assert await client.bundle(HOST, port, have) is None

    assert f'If-None-Match: W/"{have}"'.encode() in heads[0]


@pytest.mark.parametrize(
    ("behave", "says"),
    [
        (answer(b"", "404 Not Found"), "answered 404 Not Found"),
        (answer(b"", "302 Found", "Location: http://192.0.2.1/\r\n"), "answered 302 Found"),
        (answer(b"", "200 OK\r\nX: " + "y" * 10_000), "does not answer"),
        (answer(b"", "9 9 9"), "does not answer"),
    ],
)
async def test_any_other_answer_is_a_failed_fetch(behave: Behaviour, says: str) -> None:
    async with server(behave) as (port, heads), PeerClient(SETTINGS) as client:
        with pytest.raises(FetchError, match=says):
            await client.bundle(HOST, port, None)
    assert len(heads) == 1


@pytest.mark.parametrize(
    ("behave", "says"),
    [
        (endless, "more than 4194304 bytes"),
        (
            answer(
                zlib.compress(bytes(bundle.MAX_BYTES + 1)), headers="Content-Encoding: deflate\r\n"
            ),
            "more than 4194304 bytes",
        ),
        (answer(b"not zlib", headers="Content-Encoding: deflate\r\n"), "damaged"),
        (answer(zlib.compress(b"x")[:-1], headers="Content-Encoding: deflate\r\n"), "truncated"),
        (answer(zlib.compress(b"x") + b"y", headers="Content-Encoding: deflate\r\n"), "truncated"),
    ],
)
async def test_a_body_over_the_limit_or_damaged_is_against_the_protocol(
    behave: Behaviour, says: str
) -> None:
    async with server(behave) as (port, _), PeerClient(SETTINGS) as client:
        with pytest.raises(ProtocolError, match=says):
            await client.bundle(HOST, port, None)


async def test_a_hello_that_is_none_is_against_the_protocol() -> None:
    async with server(answer(b"\xc1")) as (port, _), PeerClient(SETTINGS) as client:
        with pytest.raises(ProtocolError):
            await client.hello(HOST, port)


async def test_who_never_answers_is_given_up() -> None:
    async with server(silence) as (port, _), PeerClient(IMPATIENT) as client:
        with pytest.raises(FetchError, match="does not answer"):
            await client.hello(HOST, port)


async def test_a_notification_reaches_all_and_tells_who_missed_it() -> None:
    notify = Notify(DeviceId("d" * 52), ManifestDigest("c" * 64), 7830)

    def neighbour(letter: str, port: int) -> Neighbour:
        return Neighbour(
            DeviceId(letter * 52), HOST, port, 6881, Realm("0" * 16), "", Role.PEER, "mdns"
        )

    async with (
        server(answer(b"", "204 No Content")) as (good, heads),
        server(silence) as (bad, _),
        PeerClient(IMPATIENT) as client,
    ):
        neighbours = [neighbour("a", good), neighbour("b", bad), neighbour("c", good)]
        missed = await client.notify(neighbours, notify)

    assert missed == (DeviceId("b" * 52),)
    assert [head.split()[:2] for head in heads] == [[b"POST", b"/peer/v1/notify"]] * 2


async def test_ipv6_neighbours_are_called_too() -> None:
    async with PeerClient(IMPATIENT) as client:
        with pytest.raises(FetchError, match=r"http://\[::1\]:9/peer/v1/hello"):
            await client.hello("::1", 9)
