"""Asking neighbours for parts of artifacts: exact, bounded, patient with slow links only."""

import asyncio
from dataclasses import replace

import pytest

from p2pupd.errors import FetchError, NeighbourBusy, ProtocolError
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.feeds.peer_client import PeerClient
from p2pupd.model.ids import Sha256
from p2pupd.model.setting import Bytes, Seconds
from tests.unit.feeds.test_peer_client import HOST, Behaviour, answer, server

SETTINGS = NeighbourFeedSettings(connect_timeout=Seconds(5))
DIGEST = Sha256("e" * 64)
BODY = bytes(range(200))
PART = "206 Partial Content"
RANGE = "Content-Range: bytes 100-299/1000\r\n"


async def test_a_layer_comes_as_it_was_sent() -> None:
    async with server(answer(BODY)) as (port, heads), PeerClient(SETTINGS) as client:
        assert await client.layer(HOST, port, DIGEST, 200) == BODY

    assert heads[0].startswith(f"GET /peer/v1/artifact/{DIGEST}/layer ".encode())


async def test_a_range_is_asked_for_and_comes_exactly() -> None:
    async with (
        server(answer(BODY, PART, RANGE)) as (port, heads),
        PeerClient(SETTINGS) as client,
    ):
        assert await client.artifact_range(HOST, port, DIGEST, 100, 200) == BODY

    assert b"Range: bytes=100-299\r\n" in heads[0]
    assert b"Accept-Encoding: identity\r\n" in heads[0]


@pytest.mark.parametrize(
    "behave",
    [
        answer(BODY),
        answer(BODY, PART),
        answer(BODY, PART, "Content-Range: bytes 100-298/1000\r\n"),
        answer(BODY, PART, "Content-Range: bytes 1100-299/1000\r\n"),
        answer(BODY[:-1], PART, RANGE),
        answer(BODY + b"x", PART, RANGE),
        answer(BODY, PART, RANGE + "Content-Encoding: deflate\r\n"),
    ],
)
async def test_what_is_not_that_range_is_against_the_protocol(behave: Behaviour) -> None:
    async with server(behave) as (port, _), PeerClient(SETTINGS) as client:
        with pytest.raises(ProtocolError):
            await client.artifact_range(HOST, port, DIGEST, 100, 200)


async def test_a_neighbour_without_it_is_a_failed_fetch() -> None:
    async with server(answer(b"", "404 Not Found")) as (port, _), PeerClient(SETTINGS) as client:
        with pytest.raises(FetchError, match="404"):
            await client.layer(HOST, port, DIGEST, 200)


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        ("429 Too Many Requests", "Retry-After: 7\r\n", 7),
        ("503 Service Unavailable", "Retry-After: 99999\r\n", 60),
        ("503 Service Unavailable", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", 1),
        ("429 Too Many Requests", "", 1),
    ],
)
async def test_a_busy_neighbour_says_when_to_ask_again(
    status: str, header: str, seconds: float
) -> None:
    async with server(answer(b"", status, header)) as (port, _), PeerClient(SETTINGS) as client:
        with pytest.raises(NeighbourBusy) as caught:
            await client.layer(HOST, port, DIGEST, 200)
    assert caught.value.after == seconds


def dripping(drops: int, pause: float) -> Behaviour:
    """The body in `drops` parts, `pause` seconds apart."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n".encode())
        size = len(BODY) // drops
        for at in range(0, len(BODY), size):
            writer.write(BODY[at : at + size])
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


async def test_a_slow_but_steady_link_is_waited_for() -> None:
    settings = replace(SETTINGS, content_stall=Seconds(0.3), content_rate=Bytes(100))
    async with server(dripping(20, 0.05)) as (port, _), PeerClient(settings) as client:
        assert await client.layer(HOST, port, DIGEST, 200) == BODY


@pytest.mark.parametrize(
    "settings",
    [
        replace(SETTINGS, content_stall=Seconds(0.1), content_rate=Bytes(1)),
        replace(SETTINGS, content_stall=Seconds(0.3), content_rate=Bytes(10_000)),
    ],
    ids=["stands still", "trickles"],
)
async def test_a_link_that_brings_too_little_is_given_up(settings: NeighbourFeedSettings) -> None:
    async with server(dripping(4, 0.2)) as (port, _), PeerClient(settings) as client:
        with pytest.raises(FetchError, match="does not answer"):
            await client.layer(HOST, port, DIGEST, 200)
