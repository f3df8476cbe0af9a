"""A device and a seed that hands out as it should not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from p2pupd.errors import FetchError
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.feeds.peer_client import PeerClient
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact
from p2pupd.model.setting import Seconds
from p2pupd.wire.handout import LASTS, Word, encode_number

HOST = "127.0.0.1"
ARTIFACT = Artifact(200, Sha256("0" * 64), Sha256("1" * 64), 16384)
QUICK = NeighbourFeedSettings(content_stall=Seconds(0.3))
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
Say = Callable[[asyncio.StreamWriter], Awaitable[None]]


def chunk(raw: bytes) -> bytes:
    return f"{len(raw):x}\r\n".encode() + raw + b"\r\n"


@asynccontextmanager
async def seed(say: Say) -> AsyncIterator[int]:
    """Answers whoever comes with that; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            while True:
                await say(writer)
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def asked(port: int) -> tuple[bool, list[int]]:
    """(whether it is to be asked anew, what was taken)."""
    taken: list[int] = []

    async def take(piece: int, _: bytes) -> None:
        taken.append(piece)

    async with PeerClient(QUICK) as client, asyncio.timeout(LASTS + 10):
        return await client.handout(HOST, port, ARTIFACT, b"", take), taken


async def only_begins(writer: asyncio.StreamWriter) -> None:
    """Soon, over and over."""
    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    await asyncio.sleep(0.05)


def after(first: bytes, more: bytes) -> Say:
    """Says the first once, and then more and more of the other."""
    begun: list[bool] = []

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(b"" if begun else HEAD + chunk(first))
        begun.append(True)
        writer.write(chunk(more))
        await asyncio.sleep(0.05)

    return say


@pytest.mark.parametrize("say", [only_begins, after(encode_number(0), b"x")])
async def test_a_seed_that_sends_something_and_gets_nowhere_is_given_up(say: Say) -> None:
    async with seed(say) as port:
        with pytest.raises(FetchError, match="does not answer"):
            await asked(port)


async def test_a_turn_that_the_seed_does_not_end_is_ended() -> None:
    idles = after(encode_number(0) + bytes(200), encode_number(Word.IDLE))
    async with seed(idles) as port:
        assert await asked(port) == (True, [0])
