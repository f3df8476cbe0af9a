"""The handout over a real socket: who takes nothing, and who comes when many are there."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp

from p2pupd.api.peer import listen, peer_app, serve
from p2pupd.model.ids import Sha256
from p2pupd.model.setting import Seconds
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


@asynccontextmanager
async def handing(most: int = 64) -> AsyncIterator[tuple[Endless, str]]:
    """(the seed, where it is asked)."""
    settings = replace(SETTINGS, stall=Seconds(0.2), handouts=most)
    sockets, endless = listen(settings), Endless()
    port = sockets[0].getsockname()[1]
    app = peer_app(Device(), settings, hand=endless.parts)
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
