"""The peer API that neighbours call: HTTP/1.1, msgpack bodies (docs/protocol, wire.messages).

`GET /peer/v1/hello` · `GET /peer/v1/bundle` (ETag = digest, 304, deflate) · `POST /peer/v1/notify`
(204) · `POST /peer/v1/sync` (wire.sync) · `GET /peer/v1/log` (trust.logbook) · `GET
/peer/v1/artifact/<sha256>` (one Range; several are refused with 416; of one that is arriving, a
part with both ends named, which is waited for) · `GET /peer/v1/artifact/<sha256>/layer` (32 bytes
a piece; 503 while it is not known yet) · `POST /peer/v1/artifact/<sha256>/handout` (of seeds, see
api.handout). What is unknown is 404, too much at once 429, a request that takes too long to arrive
408, a malformed one 400, an artifact that may not move now, or a part that does not come soon, 503
with Retry-After.
"""

import asyncio
import os
import socket
import sys
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from aiohttp import web

from p2pupd.api.files import CHUNK, Way, hide_server, send_file
from p2pupd.api.handout import hand_out
from p2pupd.api.limits import Doorkeeper, Gate, send
from p2pupd.api.outlet import OpenOutlet, Outlet, mark
from p2pupd.api.ranges import NotSatisfiable, parse_range
from p2pupd.api.settings import PeerApiSettings
from p2pupd.errors import HostError, ProtocolError, SpaceError
from p2pupd.model.ids import ManifestDigest, Sha256
from p2pupd.wire import sync
from p2pupd.wire.handout import MAX_UNWANTED
from p2pupd.wire.messages import Hello, Notify, decode_notify

MSGPACK: Final = "application/msgpack"
Hand = Callable[[Sha256, bytes], Awaitable[AsyncGenerator[bytes] | None]]
"""engine.handing.Handing.parts: what to send of an artifact to one device that does not want some
pieces of it (wire.handout); None where nothing is handed out."""
LAYER_RETRY: Final = "5"
"""Seconds after which to ask again for a layer that is being computed, or bytes that arrive."""
FULL_RETRY: Final = 5
"""The same for a handout while many devices are handed pieces. Their streams last, and must leave
connections for questions about releases."""
SHUTDOWN_TIMEOUT: Final = 1.0
BACKLOG: Final = 64
TCP_USER_TIMEOUT_MS: Final = 30_000
"""The kernel resets a connection whose peer acknowledges nothing for so long."""


class PeerState(Protocol):
    """What the engine tells to neighbours. Only `artifact`, `layer` and `log` may take time."""

    def hello(self) -> Hello:
        """Who we are now."""

    def bundle(self) -> tuple[ManifestDigest, bytes] | None:
        """The accepted manifest bundle with its digest; None while there is none."""

    async def artifact(self, sha256: Sha256, part: tuple[int, int] | None) -> Path | None:
        """The file with that digest, if it is complete and verified, or if it is arriving and the
        `part` (first byte, count) of it is there and proved: that is waited for."""

    async def layer(self, sha256: Sha256) -> bytes | None:
        """The encoded piece layer of that file."""

    def sent(self, sha256: Sha256, amount: int) -> None:
        """So many more bytes of that file went to a neighbour."""

    async def sync(self, raw: bytes) -> bytes:
        """The answer to a neighbour that compares its view of the floor. Raises ProtocolError."""

    async def log(self) -> bytes:
        """This device's newest lines of history, signed. Raises HostError or SpaceError."""

    def notified(self, notify: Notify, address: str) -> None:
        """A device at IP `address` says that its manifest changed. A hint, not believed."""


def peer_app(
    state: PeerState,
    settings: PeerApiSettings,
    outlet: Outlet | None = None,
    hand: Hand | None = None,
) -> web.Application:
    """The application; `serve` puts it on the network. Artifacts go out through `outlet`, and a
    seed hands out what `hand` gives."""
    handlers = _Handlers(state, settings, outlet or OpenOutlet(), hand)
    app = web.Application(client_max_size=settings.body, middlewares=[handlers.guard])
    app.on_response_prepare.append(hide_server)
    app.add_routes(
        [
            web.get("/peer/v1/hello", handlers.hello),
            web.get("/peer/v1/bundle", handlers.bundle),
            web.post("/peer/v1/notify", handlers.notify),
            web.post("/peer/v1/sync", handlers.sync),
            web.get("/peer/v1/log", handlers.log),
            web.get("/peer/v1/artifact/{sha256:[0-9a-f]{64}}", handlers.artifact),
            web.get("/peer/v1/artifact/{sha256:[0-9a-f]{64}}/layer", handlers.layer),
            web.post("/peer/v1/artifact/{sha256:[0-9a-f]{64}}/handout", handlers.handout),
        ]
    )
    return app


def listen(settings: PeerApiSettings) -> list[socket.socket]:
    """Sockets bound to every address of `settings.listen`, all on one port. Raises HostError."""
    sockets: list[socket.socket] = []
    port = settings.port
    for address in settings.listen:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            sock = socket.create_server((address, port), family=family, backlog=BACKLOG)
        except OSError as error:
            for bound in sockets:
                bound.close()
            raise HostError(
                f"cannot listen on {address} port {port}: {error.strerror or error}"
            ) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
        sockets.append(sock)
        port = sock.getsockname()[1]
    return sockets


async def serve(
    app: web.Application, sockets: list[socket.socket], settings: PeerApiSettings
) -> None:
    """Serve `app` on `sockets` until cancelled, then close them."""
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=settings.keep_alive,
        lingering_time=SHUTDOWN_TIMEOUT,
        shutdown_timeout=SHUTDOWN_TIMEOUT,
    )
    await runner.setup()
    http = runner.server
    assert http is not None
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda: Doorkeeper(http, settings), sock=sock, backlog=BACKLOG)
        for sock in sockets
    ]
    try:
        await asyncio.Event().wait()
    finally:
        for server in servers:
            server.close()
        await runner.cleanup()


class _Handlers:
    """One method per call; `guard` runs around all of them."""

    def __init__(
        self, state: PeerState, settings: PeerApiSettings, outlet: Outlet, hand: Hand | None
    ) -> None:
        self._state = state
        self._hand = hand
        self._outlet = outlet
        self._settings = settings
        self._gate = Gate(settings, asyncio.get_running_loop().time)
        self._deflated: tuple[str, bytes] = ("", b"")
        self._handouts = 0

    @web.middleware
    async def guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        with self._gate.admitted(request.remote or "") as admitted:
            if not admitted:
                raise web.HTTPTooManyRequests(headers={"Retry-After": "1"})
            mark(request, 0)
            try:
                return await handler(request)
            except ProtocolError as error:
                raise web.HTTPBadRequest(text=f"{error}\n") from error

    async def hello(self, _: web.Request) -> web.Response:
        return web.Response(body=self._state.hello().encode(), content_type=MSGPACK)

    async def bundle(self, request: web.Request) -> web.StreamResponse:
        """The tag is weak, because the deflated body is other bytes with the same meaning."""
        found = self._state.bundle()
        if found is None:
            raise web.HTTPNotFound(text="no manifest yet\n")
        digest, raw = found
        headers = {"ETag": f'W/"{digest}"', "Vary": "Accept-Encoding"}
        if any(tag.value in (digest, "*") for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        if "deflate" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "deflate"
            raw = await self._deflate(digest, raw)
        response = web.StreamResponse(headers=headers | {"Content-Type": MSGPACK})
        response.content_length = len(raw)
        return await send(request, response, _pieces(raw), self._settings)

    async def notify(self, request: web.Request) -> web.Response:
        raw = await self._body(request, self._settings.body)
        self._state.notified(decode_notify(raw), request.remote or "")
        return web.Response(status=204)

    async def sync(self, request: web.Request) -> web.Response:
        raw = await self._body(request, sync.MAX_BYTES)
        return web.Response(body=await self._state.sync(raw), content_type=MSGPACK)

    async def log(self, _: web.Request) -> web.Response:
        try:
            raw = await self._state.log()
        except (HostError, SpaceError) as error:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": LAYER_RETRY}) from error
        return web.Response(body=raw, content_type=MSGPACK)

    async def _body(self, request: web.Request, most: int) -> bytes:
        """What arrives in time, and is not longer."""
        if (request.content_length or 0) > most:
            raise web.HTTPRequestEntityTooLarge(most, request.content_length or 0)
        raw = bytearray()
        try:
            async with asyncio.timeout(self._settings.handler_timeout):
                async for chunk in request.content.iter_any():
                    raw += chunk
                    if len(raw) > most:
                        raise web.HTTPRequestEntityTooLarge(most, len(raw))
        except TimeoutError as error:
            raise web.HTTPRequestTimeout(headers={"Connection": "close"}) from error
        return bytes(raw)

    async def artifact(self, request: web.Request) -> web.StreamResponse:
        sha256 = Sha256(request.match_info["sha256"])
        try:
            async with asyncio.timeout(self._settings.handler_timeout):
                path = await self._state.artifact(sha256, _asked(request))
                file = await asyncio.to_thread(_open, path) if path else None
        except TimeoutError as error:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": LAYER_RETRY}) from error
        if file is None:
            raise web.HTTPNotFound(text="no such artifact here\n")
        with file:
            wait = self._outlet.retry_after(sha256)
            if wait is not None:
                raise web.HTTPServiceUnavailable(headers={"Retry-After": str(wait)})
            mark(request, self._outlet.dscp)
            with self._outlet.sending():
                way = Way(
                    partial(self._outlet.admit, sha256),
                    partial(self._state.sent, sha256),
                    lambda: self._outlet.limited,
                )
                return await send_file(request, file, f'"{sha256}"', self._settings, way)

    async def layer(self, request: web.Request) -> web.StreamResponse:
        sha256 = Sha256(request.match_info["sha256"])
        try:
            async with asyncio.timeout(self._settings.handler_timeout):
                raw = await self._state.layer(sha256)
        except TimeoutError as error:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": LAYER_RETRY}) from error
        if raw is None:
            raise web.HTTPNotFound(text="no such artifact here\n")
        headers = {"ETag": f'"{sha256}-layer"', "Content-Type": "application/octet-stream"}
        response = web.StreamResponse(headers=headers)
        response.content_length = len(raw)
        body = _pieces(raw if request.method == "GET" else b"")
        return await send(request, response, body, self._settings)

    async def handout(self, request: web.Request) -> web.StreamResponse:
        sha256 = Sha256(request.match_info["sha256"])
        unwanted = await self._list(request)
        wait = self._outlet.retry_after(sha256)
        if wait is None and self._handouts >= self._settings.handouts:
            wait = FULL_RETRY
        if wait is not None:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": str(wait)})
        parts = None
        if self._hand and not self._outlet.limited:
            parts = await self._hand(sha256, unwanted)
        if parts is None:
            raise web.HTTPNotFound(text="nothing is handed out\n")
        mark(request, self._outlet.dscp)
        with self._outlet.sending(), self._handing():
            async with aclosing(parts):
                way = Way(
                    partial(self._outlet.admit, sha256),
                    partial(self._state.sent, sha256),
                    lambda: self._outlet.limited,
                )
                return await hand_out(request, parts, self._settings, way)

    @contextmanager
    def _handing(self) -> Iterator[None]:
        self._handouts += 1
        try:
            yield
        finally:
            self._handouts -= 1

    async def _list(self, request: web.Request) -> bytes:
        raw = b""
        try:
            async with asyncio.timeout(self._settings.handler_timeout):
                while chunk := await request.content.read(MAX_UNWANTED + 1 - len(raw)):
                    raw += chunk
        except TimeoutError as error:
            raise web.HTTPRequestTimeout(headers={"Connection": "close"}) from error
        if len(raw) > MAX_UNWANTED:
            raise ProtocolError(f"the list has more than {MAX_UNWANTED} bytes")
        return raw

    async def _deflate(self, digest: str, raw: bytes) -> bytes:
        if self._deflated[0] != digest:
            self._deflated = (digest, await asyncio.to_thread(zlib.compress, raw))
        return self._deflated[1]


def _asked(request: web.Request) -> tuple[int, int] | None:
    """The part of a file of any length that is asked for, where both of its ends are named."""
    wanted = request.headers.get("Range", "")
    if request.method != "GET" or wanted.endswith("-") or wanted.startswith("bytes=-"):
        return None
    try:
        return parse_range(wanted, sys.maxsize)
    except NotSatisfiable:
        return None


async def _pieces(raw: bytes) -> AsyncIterator[bytes]:
    for offset in range(0, len(raw), CHUNK):
        yield raw[offset : offset + CHUNK]


def _open(path: Path) -> BinaryIO | None:
    """None where it vanished since it was found."""
    try:
        return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
    except OSError:
        return None
