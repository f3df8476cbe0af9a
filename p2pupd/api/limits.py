"""Who may come in and how often: the peer API's guard against greedy and slow callers."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from p2pupd.api.settings import PeerApiSettings
from p2pupd.core.token_bucket import TokenBucket

log = logging.getLogger(__name__)
Part = TypeVar("Part", bound=Sized)


class _Caller:
    def __init__(self, bucket: TokenBucket) -> None:
        self.bucket = bucket
        self.running = 0


class Gate:
    """Counts requests per address; the address seen longest ago is forgotten first."""

    def __init__(self, settings: PeerApiSettings, clock: Callable[[], float]) -> None:
        """`clock` gives seconds and never goes back."""
        self._settings = settings
        self._clock = clock
        self._callers: OrderedDict[str, _Caller] = OrderedDict()

    def __len__(self) -> int:
        return len(self._callers)

    @contextmanager
    def admitted(self, address: str) -> Iterator[bool]:
        """Whether this request may be served; it counts as in flight meanwhile."""
        caller = self._caller(address)
        full = caller.running >= self._settings.requests_per_address
        admitted = not full and caller.bucket.take(self._clock())
        caller.running += admitted
        try:
            yield admitted
        finally:
            caller.running -= admitted

    def _caller(self, address: str) -> _Caller:
        caller = self._callers.pop(address, None)
        if caller is None:
            rate, burst = self._settings.request_rate, self._settings.request_burst
            caller = _Caller(TokenBucket(rate, burst, self._clock()))
        self._callers[address] = caller
        if len(self._callers) > self._settings.addresses:
            self._callers.popitem(last=False)
        return caller


def paced(gate: Gate) -> Middleware:
    """The middleware that turns away who calls too often, or too much at once."""

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        with gate.admitted(request.remote or "") as admitted:
            if not admitted:
                raise web.HTTPTooManyRequests(headers={"Retry-After": "1"})
            return await handler(request)

    return admit


class Doorkeeper(asyncio.Protocol):
    """Takes a new connection, and hands it to the HTTP server unless there are too many."""

    def __init__(self, server: web.Server, settings: PeerApiSettings) -> None:
        self._server = server
        self._settings = settings

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand over, or close at once."""
        assert isinstance(transport, asyncio.Transport)
        address = _address(transport.get_extra_info("peername"))
        open_now = [_address(connection.peername) for connection in self._server.connections]
        if (
            len(open_now) >= self._settings.connections
            or open_now.count(address) >= self._settings.connections_per_address
        ):
            transport.abort()
            return
        handler = self._server()
        transport.set_protocol(handler)
        handler.connection_made(transport)


def _address(peername: object) -> str:
    return str(peername[0]) if isinstance(peername, tuple) else ""


async def send(
    request: web.Request,
    response: web.StreamResponse,
    chunks: AsyncIterator[bytes],
    settings: PeerApiSettings,
) -> web.StreamResponse:
    """Send `response` with `chunks` as its body, at the caller's pace but not slower than allowed.

    A reader that falls behind `least_rate` by more than `stall` seconds is cut off. One that hangs
    up is no error.
    """

    async def write(chunk: bytes) -> None:
        await response.write(chunk)

    return await deliver(request, response, chunks, write, settings)


async def deliver(
    request: web.Request,
    response: web.StreamResponse,
    parts: AsyncIterator[Part],
    write: Callable[[Part], Awaitable[None]],
    settings: PeerApiSettings,
) -> web.StreamResponse:
    """The same for parts of any kind, whose `len` is their bytes: `write` sends one."""
    loop = asyncio.get_running_loop()
    asked = loop.time()
    deadline = asked + settings.stall
    try:
        await response.prepare(request)
        async for part in parts:
            deadline += loop.time() - asked
            async with asyncio.timeout_at(deadline):
                await write(part)
            deadline += len(part) / settings.least_rate
            asked = loop.time()
        async with asyncio.timeout_at(deadline):
            await response.write_eof()
    except TimeoutError:
        log.info("peer.slow address=%s path=%s", request.remote, request.path)
        if request.transport:
            request.transport.abort()
    except ConnectionError:
        log.info("peer.gone address=%s path=%s", request.remote, request.path)
    return response
