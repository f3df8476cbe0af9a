"""The handout over a real socket: who takes nothing, and who comes when many are there."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
import pytest

from p2pupd.api.outlet import OpenOutlet, Outlet
from p2pupd.api.peer import listen, peer_app, serve
from p2pupd.model.ids import Sha256
from p2pupd.model.setting import Seconds
from p2pupd.wire.handout import Word, encode_number
from tests.support import running
from tests.unit.api.test_peer import DIGEST, HOST, SETTINGS, Device

PART = bytes(204)


class Endless:
    """A seed that has more and more; `ended` when a stream of it is closed."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.running = 0

    async def parts(self, _sha256: Sha256, _unwanted: bytes) -> AsyncGenerator[bytes]:
        return self._parts()

    async def _parts(self) -> AsyncGenerator[bytes]:
        self.running += 1
        try:
            while True:
                yield PART
        finally:
            self.running -= 1
            self.ended.set()


@dataclass
class Line(OpenOutlet):
    """An `Outlet` that changes while pieces are sent."""

    paused: bool = False
    limited: bool = False  # type: ignore[misc]

    def retry_after(self, _: str) -> int | None:
        return 7 if self.paused else None

    async def admit(self, _digest: str, _amount: int) -> bool:
        return not self.paused


@asynccontextmanager
async def handing(
    most: int = 64, outlet: Outlet | None = None
) -> AsyncIterator[tuple[Endless, str]]:
    """(the seed, where it is asked)."""
    settings = replace(SETTINGS, stall=Seconds(0.2), handouts=most)
    sockets, endless = listen(settings), Endless()
    port = sockets[0].getsockname()[1]
    app = peer_app(Device(), settings, outlet, endless.parts)
    async with running(serve(app, sockets, settings)):
        yield endless, f"http://{HOST}:{port}/peer/v1/artifact/{DIGEST}/handout"


async def test_who_took_much_and_then_nothing_is_cut_off_like_anybody() -> None:
    async with (
        handing() as (seed, url),
        aiohttp.ClientSession() as session,
        session.post(url) as response,
    ):
        assert len(await response.content.readexactly(4_000_000)) == 4_000_000
        async with asyncio.timeout(10):
            await seed.ended.wait()


async def test_long_streams_leave_room_for_others() -> None:
    async with handing(most=2) as (seed, url), aiohttp.ClientSession() as session:
        async with session.post(url) as one, session.post(url) as two:
            assert one.status == two.status == 200
            async with session.post(url) as three:
                assert (three.status, three.headers["Retry-After"]) == (503, "5")
            assert seed.running == 2
        async with asyncio.timeout(10):
            await seed.ended.wait()
        async with session.post(url) as again:
            assert again.status == 200


@pytest.mark.parametrize(("change", "status"), [("paused", 503), ("limited", 404)])
async def test_a_pause_and_a_rate_end_a_stream_in_good_order(change: str, status: int) -> None:
    """The device asks anew; so it waits for the end of a pause, and leaves a seed with a rate."""
    line = Line()
    async with handing(outlet=line) as (seed, url), aiohttp.ClientSession() as session:
        async with session.post(url) as response:
            await response.content.readexactly(len(PART))
            setattr(line, change, True)
            raw = await response.content.read()
            assert raw.endswith(encode_number(Word.AGAIN))
            assert len(raw) % len(PART) == len(encode_number(Word.AGAIN))
        assert seed.running == 0
        async with session.post(url) as again:
            assert again.status == status
