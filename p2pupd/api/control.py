"""The control API: HTTP over a Unix socket, JSON bodies, for the command line of this machine.

`GET /v1/status` · `GET /v1/peers` · `GET /v1/fleet` · `GET /v1/history` · `GET /metrics` ·
`GET /v1/why` · `POST /v1/defer` · `POST /v1/order` ·
`POST /v1/check` · `POST /v1/approve` · `POST /v1/rollback` · `POST /v1/pause` ·
`POST /v1/resume` · `POST /v1/reload` · `POST /v1/import` · `POST /v1/export`. The last two
answer with JSON lines: `{"progress": ...}` or `{}` while it works, then one `{"result": ...}` or
`{"error": ...}`. An error body is `{"error": {"code", "reason", "message"}}` with the exit code of
the command line; its status is 409, or 500 with the reason `bug`.

Who may call is decided by the socket's mode (0660) and its group.
"""

import asyncio
import base64
import json
import logging
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from math import isfinite
from pathlib import Path
from typing import Any, Final, Protocol, TypeGuard

from aiohttp import web

from p2pupd.api.metrics import metrics_route
from p2pupd.errors import UpdateError, UsageError
from p2pupd.host.files import host_error
from p2pupd.model.metrics import Reading

Json = dict[str, Any]
BODY_LIMIT: Final = 64 * 1024
HISTORY_LIMIT: Final = 1000
LARGEST: Final = (1 << 53) - 1
"""Largest number in a request, as in signed metadata."""

log = logging.getLogger(__name__)


class Controls(Protocol):
    """What the daemon lets its operator do. Every method may raise UpdateError."""

    async def status(self) -> Json:
        """The picture that `p2pupd status` prints."""

    async def metrics(self) -> Reading:
        """The figures of now."""

    async def peers(self) -> list[Json]:
        """The neighbours of now."""

    async def fleet(self) -> list[Json]:
        """Every device that this one has heard of."""

    async def history(self, limit: int) -> list[Json]:
        """The newest lines of the device's history, oldest first."""

    async def check(self) -> str:
        """Ask every source again."""

    async def why(self, device: str | None) -> Json:
        """Every gate that is closed for this device, or the one whose id begins so."""

    async def approve(self, release: int | None, *, again: bool, ahead: bool) -> str:
        """Consent to an installation."""

    async def defer(self, seconds: float | None) -> str:
        """Put off what waits or is on its way here."""

    async def order(self, raw: bytes) -> str:
        """Take a signed order, obey it and pass it on."""

    async def rollback(self) -> str:
        """Go back to the previous slot."""

    async def pause(self, seconds: float | None) -> str:
        """Stop payload for so long, or until `resume`."""

    async def resume(self) -> str:
        """End the operator's pause."""

    async def reload(self) -> str:
        """Read the configuration again."""

    def import_from(self, path: Path) -> AsyncGenerator[Json, None]:
        """Yield progress, then the result."""

    def export_to(self, path: Path) -> AsyncGenerator[Json, None]:
        """Yield progress, then the result."""


def control_app(controls: Controls) -> web.Application:
    """The application; daemon.py binds it to the socket."""
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[_errors])

    async def check(_: web.Request) -> web.Response:
        return web.json_response({"said": await controls.check()})

    async def approve(request: web.Request) -> web.Response:
        body = await _body(request)
        said = await controls.approve(
            _integer(body, "release"),
            again=body.get("again") is True,
            ahead=body.get("ahead") is True,
        )
        return web.json_response({"said": said})

    async def rollback(_: web.Request) -> web.Response:
        return web.json_response({"said": await controls.rollback()})

    app.add_routes(
        [
            *_reading_routes(controls),
            web.post("/v1/check", check),
            web.post("/v1/approve", approve),
            web.post("/v1/rollback", rollback),
            *_line_routes(controls),
            *_turn_routes(controls),
            web.post("/v1/import", _streamed(controls.import_from)),
            web.post("/v1/export", _streamed(controls.export_to)),
        ]
    )
    return app


def _reading_routes(controls: Controls) -> list[web.RouteDef]:
    """What changes nothing."""

    async def status(_: web.Request) -> web.Response:
        return web.json_response(await controls.status())

    async def peers(_: web.Request) -> web.Response:
        return web.json_response(await controls.peers())

    async def fleet(_: web.Request) -> web.Response:
        return web.json_response(await controls.fleet())

    async def history(request: web.Request) -> web.Response:
        limit = _integer(dict(request.query), "limit") or 100
        return web.json_response(await controls.history(max(1, min(limit, HISTORY_LIMIT))))

    return [
        metrics_route(controls.metrics),
        web.get("/v1/status", status),
        web.get("/v1/peers", peers),
        web.get("/v1/fleet", fleet),
        web.get("/v1/history", history),
    ]


def _line_routes(controls: Controls) -> list[web.RouteDef]:
    """Care for the line."""

    async def pause(request: web.Request) -> web.Response:
        seconds = _seconds(await _body(request), "seconds")
        return web.json_response({"said": await controls.pause(seconds)})

    async def resume(_: web.Request) -> web.Response:
        return web.json_response({"said": await controls.resume()})

    async def reload(_: web.Request) -> web.Response:
        return web.json_response({"said": await controls.reload()})

    return [
        web.post("/v1/pause", pause),
        web.post("/v1/resume", resume),
        web.post("/v1/reload", reload),
    ]


def _turn_routes(controls: Controls) -> list[web.RouteDef]:
    """Whose turn it is."""

    async def why(request: web.Request) -> web.Response:
        return web.json_response(await controls.why(request.query.get("device")))

    async def defer(request: web.Request) -> web.Response:
        seconds = _seconds(await _body(request), "seconds")
        return web.json_response({"said": await controls.defer(seconds)})

    async def order(request: web.Request) -> web.Response:
        try:
            raw = base64.b64decode(str((await _body(request)).get("order")), validate=True)
        except ValueError as error:
            raise UsageError('the body must be {"order": "an envelope in base64"}') from error
        return web.json_response({"said": await controls.order(raw)})

    return [
        web.get("/v1/why", why),
        web.post("/v1/defer", defer),
        web.post("/v1/order", order),
    ]


def _streamed(
    work: Callable[[Path], AsyncGenerator[Json, None]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        path = (await _body(request)).get("path")
        if not _is_path(path):
            raise UsageError('the body must be {"path": "/an/absolute/path"}')
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        try:
            await response.prepare(request)
            async with aclosing(work(Path(path))) as lines:
                await _stream(response, lines)
        except ConnectionResetError:
            log.info("control.caller-left path=%s", request.path)
        return response

    return handler


def _is_path(value: object) -> TypeGuard[str]:
    """An absolute path that the system can be asked for."""
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        return False
    try:
        return bool(os.fsencode(value))
    except UnicodeEncodeError:
        return False


async def _stream(response: web.StreamResponse, lines: AsyncIterator[Json]) -> None:
    """Every line, and the error at their end if there is one."""
    try:
        async for line in lines:
            await response.write(_line(line))
    except UpdateError as error:
        await response.write(_line(_error(error)))
    except ConnectionError:
        raise
    except Exception as error:
        log.exception("control.bug error=%r", error)
        await response.write(_line(_error(_unknown(error))))
    await response.write_eof()


@web.middleware
async def _errors(
    request: web.Request,
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> web.StreamResponse:
    try:
        return await handler(request)
    except UpdateError as error:
        return web.json_response(_error(error), status=409)
    except (web.HTTPException, ConnectionError):
        raise
    except Exception as error:
        log.exception("control.bug path=%s error=%r", request.path, error)
        return web.json_response(_error(_unknown(error)), status=500)


def _unknown(error: Exception) -> UpdateError:
    """A mistake of the program: its traceback is in the log, its caller gets a sentence."""
    return UpdateError(
        f"the daemon met a mistake of its own, {error!r}: please report it, with its log",
        reason="bug",
    )


def _error(error: UpdateError) -> Json:
    return {"error": {"code": error.code, "reason": error.reason, "message": str(error)}}


def _line(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


async def _body(request: web.Request) -> Json:
    try:
        body = await request.json() if request.can_read_body else {}
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise UsageError("the body must be a JSON object")
    return body


def _integer(body: Json, key: str) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{key} must be a whole number, not {str(value)[:80]!r}") from error
    if not 0 <= number <= LARGEST:
        raise UsageError(f"{key} must be a whole number from 0 to {LARGEST}")
    return number


def _seconds(body: Json, key: str) -> float | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise UsageError(f"{key} must be a number of seconds, not {str(value)[:80]!r}")
    return float(value)


async def serve_socket(app: web.Application, path: Path, mode: int) -> None:
    """Serve on the Unix socket until cancelled; a stale socket file is replaced.

    Nobody is let in before the mode is set. Raises HostError.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, _bound(path, mode)).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
        with suppress(OSError):
            path.unlink()


def _bound(path: Path, mode: int) -> socket.socket:
    """Callers are refused until somebody listens on it."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        made.bind(str(path))
        path.chmod(mode)
    except OSError as error:
        made.close()
        raise host_error(error, f"make the control socket {path}") from error
    return made
