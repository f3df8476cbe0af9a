"""The dashboard's routes: pages, their changes as server-sent events, and what they look like.

Every answer forbids a browser what the pages do not need: no script but ours, nothing from
elsewhere, no frame around it. Nothing that came from a device becomes markup (dashboard.html).
"""

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final

from aiohttp import web

from p2pupd.api.control import Controls
from p2pupd.api.dashboard.device import device_parts, log_parts
from p2pupd.api.dashboard.floor import floor_parts
from p2pupd.api.dashboard.html import Html
from p2pupd.api.dashboard.live import Live, Parts
from p2pupd.api.dashboard.operate import Operating
from p2pupd.api.dashboard.pages import (
    device_page,
    floor_page,
    log_page,
    message_page,
    sign_in_page,
)
from p2pupd.api.dashboard.words import Json
from p2pupd.api.tokens import Sessions, Token
from p2pupd.errors import UpdateError, UsageError

ASSETS: Final = {
    "dashboard.css": "text/css",
    "dashboard.js": "text/javascript",
    "favicon.svg": "image/svg+xml",
}
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
LOG_LINES: Final = 200
FEW_LINES: Final = 6
QUIET: Final = ("phase.changed",)
"""Lines that only the whole log has."""
READERS: Final = 48
"""So many pages are followed at once."""
OF_ONE_ADDRESS: Final = 24
"""And so many of them from one address."""
DEVICES: Final = 64
"""Pages of so many devices are remembered."""
STALL: Final = 30.0
"""Seconds for which a reader may take nothing."""


class Dashboard:
    """The pages of one device. `public`: who reaches them may read them."""

    def __init__(
        self,
        controls: Controls,
        who: Json,
        token: Token | None,
        sessions: Sessions,
        *,
        public: bool,
    ) -> None:
        """`who` names the device that shows them: `device` and `site`."""
        self._controls = controls
        self._who = who
        self._public = public
        self._operating = Operating(controls, who, token, sessions, _answer)
        self._can = token is not None
        self._floor = Live(self._floor_parts, controls.news)
        self._log = Live(self._log_parts, controls.news)
        self._devices: OrderedDict[str, Live] = OrderedDict()
        self._readers: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """For an application that hides who it runs on, and that decides who may call."""
        return [
            web.get("/", self._reading(self.floor)),
            web.get("/log", self._reading(self.log)),
            web.get("/device/{device:[a-z2-7]{4,64}}", self._reading(self.device)),
            web.get("/events/floor", self._reading(self.floor_events)),
            web.get("/events/log", self._reading(self.log_events)),
            web.get("/events/device/{device:[a-z2-7]{4,64}}", self._reading(self.device_events)),
            web.get("/assets/{name}", _asset),
            *self._operating.routes(),
        ]

    def _reading(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Who may not read is asked to sign in; what fails is told on a page."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            if not self._public and self._operating.session(request) is None:
                return _answer(sign_in_page(self._who, self._can), status=403)
            try:
                return await handler(request)
            except UpdateError as error:
                page = message_page(self._who, "Not now", f"{error.reason}: {error}")
                return _answer(page, status=404 if error.code == 2 else 503)

        return guarded

    # -- pages -----------------------------------------------------------------------------------

    async def floor(self, request: web.Request) -> web.Response:
        version, parts = await self._floor.now()
        show = request.query.get("show")
        return _answer(floor_page(self._who, parts, version, show), request)

    async def log(self, request: web.Request) -> web.Response:
        version, parts = await self._log.now()
        return _answer(log_page(self._who, parts, version), request)

    async def device(self, request: web.Request) -> web.Response:
        device = request.match_info["device"]
        version, parts = await self._live(device).now()
        return _answer(device_page(self._who, device, parts, version), request)

    # -- events ----------------------------------------------------------------------------------

    async def floor_events(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, self._floor)

    async def log_events(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, self._log)

    async def device_events(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, self._live(request.match_info["device"]))

    async def _stream(self, request: web.Request, live: Live) -> web.StreamResponse:
        reader = request.remote or ""
        if self._readers.total() >= READERS or self._readers[reader] >= OF_ONE_ADDRESS:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "10"})
        since = request.headers.get("Last-Event-ID") or request.query.get("since", "")
        headers = HEADERS | {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        self._readers[reader] += 1
        try:
            await response.prepare(request)
            async with aclosing(live.follow(since, lambda: request.transport is None)) as told:
                async for event in told:
                    async with asyncio.timeout(STALL):
                        await response.write(event.encode())
        except (ConnectionError, TimeoutError, UpdateError):
            response.force_close()
        finally:
            self._readers -= Counter({reader: 1})
        return response

    # -- parts -----------------------------------------------------------------------------------

    async def _floor_parts(self) -> Parts:
        board = await self._controls.floor()
        lines = await self._controls.history(LOG_LINES)
        lines = [each for each in lines if each["event"] not in QUIET][-FEW_LINES:]
        return await asyncio.to_thread(floor_parts, board) | log_parts(lines)

    async def _log_parts(self) -> Parts:
        return log_parts(await self._controls.history(LOG_LINES))

    def _live(self, device: str) -> Live:
        found = self._devices.pop(device, None)
        if found is None:
            found = Live(lambda: self._device_parts(device), self._controls.news)
        self._devices[device] = found
        if len(self._devices) > DEVICES:
            self._devices.popitem(last=False)
        return found

    async def _device_parts(self, device: str) -> Parts:
        why = await self._controls.why(device)
        board = await self._controls.floor()
        found = (each for each in board["devices"] if each["id"] == why["device"])
        device_now = next(found, None)
        if device_now is None:
            raise UsageError(f"{device!r} is not in the view any more")
        return device_parts(device_now, why)


def _answer(
    page: Html,
    request: web.Request | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Only what holds no secret of a session (`request` is given) is compressed."""
    answer = web.Response(
        text=page,
        status=status,
        content_type="text/html",
        headers=HEADERS | {"Cache-Control": "no-store"} | (headers or {}),
    )
    if request is not None:
        answer.enable_compression()
    return answer


async def _asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in ASSETS:
        raise web.HTTPNotFound
    raw = await asyncio.to_thread((Path(__file__).parent / "assets" / name).read_bytes)
    tag = hashlib.sha256(raw).hexdigest()[:16]
    headers = HEADERS | {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if any(each.value == tag for each in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=raw, content_type=ASSETS[name], charset="utf-8", headers=headers)
