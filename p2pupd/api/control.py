"""The control API: HTTP with JSON bodies, for the operators of this device.

`GET /v1/openapi.json` (api.openapi) says what there is: `/v1/status`, `/v1/peers`, `/v1/fleet`,
`/v1/floor`, `/v1/history`, `/v1/why` and `/metrics` read; `/v1/check`, `/v1/approve`, `/v1/defer`,
`/v1/order`, `/v1/rollback`, `/v1/pause`, `/v1/resume`, `/v1/reload`, `/v1/import` and `/v1/export`
act. The last two answer with JSON lines: `{"progress": ...}` or `{}` while it works, then one
`{"result": ...}` or `{"error": ...}`. An error body is `{"error": {"code", "reason", "message"}}`
with the exit code of the command line; its status is 400 for a request that is malformed, 403 for
who may not call, 409 for what the device cannot do, and 500 with the reason
`bug` for a mistake of the program.

Who may call is decided by api.doors.
"""

import base64
import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from math import isfinite
from pathlib import Path
from typing import Any, Final, Protocol, TypeGuard

from aiohttp import web

from p2pupd.api.metrics import metrics_route
from p2pupd.api.openapi import description
from p2pupd.errors import NotAllowed, UpdateError, UsageError
from p2pupd.model.metrics import Reading
from p2pupd.model.numbers import LARGEST

Json = dict[str, Any]
BODY_LIMIT: Final = 64 * 1024
HISTORY_LIMIT: Final = 1000

log = logging.getLogger(__name__)


class BadRequest(UsageError):
    """The request itself is malformed, whatever the device would say to it."""


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

    async def floor(self) -> Json:
        """The floor as a screen shows it: every device, every release on its way."""

    async def news(self) -> None:
        """Return at the next change of what `floor` tells."""

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


def control_routes(controls: Controls) -> list[web.RouteDef]:
    """All calls, for an application with the middleware `errors`."""

    async def check(request: web.Request) -> web.Response:
        await _body(request)
        return web.json_response({"said": await controls.check()})

    async def approve(request: web.Request) -> web.Response:
        body = await _body(request, "release", "again", "ahead")
        said = await controls.approve(
            _integer(body, "release"),
            again=_flag(body, "again"),
            ahead=_flag(body, "ahead"),
        )
        return web.json_response({"said": said})

    async def rollback(request: web.Request) -> web.Response:
        await _body(request)
        return web.json_response({"said": await controls.rollback()})

    return [
        *_reading_routes(controls),
        web.post("/v1/check", check),
        web.post("/v1/approve", approve),
        web.post("/v1/rollback", rollback),
        *_line_routes(controls),
        *_turn_routes(controls),
        web.post("/v1/import", _streamed(controls.import_from)),
        web.post("/v1/export", _streamed(controls.export_to)),
    ]


def _reading_routes(controls: Controls) -> list[web.RouteDef]:
    """What changes nothing."""

    async def status(_: web.Request) -> web.Response:
        return web.json_response(await controls.status())

    async def peers(_: web.Request) -> web.Response:
        return web.json_response(await controls.peers())

    async def fleet(_: web.Request) -> web.Response:
        return web.json_response(await controls.fleet())

    async def history(request: web.Request) -> web.Response:
        limit = _integer(_query(request, "limit"), "limit")
        limit = 100 if limit is None else limit
        if not 1 <= limit <= HISTORY_LIMIT:
            raise BadRequest(f"limit must be from 1 to {HISTORY_LIMIT}")
        return web.json_response(await controls.history(limit))

    async def floor(_: web.Request) -> web.Response:
        return web.json_response(await controls.floor())

    async def openapi(_: web.Request) -> web.Response:
        return web.json_response(description())

    return [
        metrics_route(controls.metrics),
        web.get("/v1/openapi.json", openapi),
        web.get("/v1/floor", floor),
        web.get("/v1/status", status),
        web.get("/v1/peers", peers),
        web.get("/v1/fleet", fleet),
        web.get("/v1/history", history),
    ]


def _line_routes(controls: Controls) -> list[web.RouteDef]:
    """Care for the line."""

    async def pause(request: web.Request) -> web.Response:
        seconds = _seconds(await _body(request, "seconds"), "seconds")
        return web.json_response({"said": await controls.pause(seconds)})

    async def resume(request: web.Request) -> web.Response:
        await _body(request)
        return web.json_response({"said": await controls.resume()})

    async def reload(request: web.Request) -> web.Response:
        await _body(request)
        return web.json_response({"said": await controls.reload()})

    return [
        web.post("/v1/pause", pause),
        web.post("/v1/resume", resume),
        web.post("/v1/reload", reload),
    ]


def _turn_routes(controls: Controls) -> list[web.RouteDef]:
    """Whose turn it is."""

    async def why(request: web.Request) -> web.Response:
        return web.json_response(await controls.why(_query(request, "device").get("device")))

    async def defer(request: web.Request) -> web.Response:
        seconds = _seconds(await _body(request, "seconds"), "seconds")
        return web.json_response({"said": await controls.defer(seconds)})

    async def order(request: web.Request) -> web.Response:
        try:
            raw = base64.b64decode(str((await _body(request, "order")).get("order")), validate=True)
        except ValueError as error:
            raise BadRequest('the body must be {"order": "an envelope in base64"}') from error
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
        path = (await _body(request, "path")).get("path")
        if not _is_path(path):
            raise BadRequest('the body must be {"path": "/an/absolute/path"}')
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
async def errors(
    request: web.Request,
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> web.StreamResponse:
    """Our errors as answers."""
    try:
        return await handler(request)
    except BadRequest as error:
        return web.json_response(_error(error), status=400)
    except NotAllowed as error:
        return web.json_response(_error(error), status=403)
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


async def _body(request: web.Request, *known: str) -> Json:
    """A JSON object that has nothing but `known` names; none at all is an empty one."""
    try:
        body = await request.json() if request.can_read_body else {}
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    if set(body) - {*known}:
        named = ", ".join(known) or "nothing"
        raise BadRequest(f"the body may have {named}, not {', '.join(sorted(body))[:80]!r}")
    return body


def _query(request: web.Request, *known: str) -> Json:
    """The query, which has nothing but `known` names, each once."""
    if set(request.query) - {*known} or len(request.query) > len(set(request.query)):
        raise BadRequest(f"the query may have only {', '.join(known)}, once")
    return dict(request.query)


def _flag(body: Json, key: str) -> bool:
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{key} must be true or false")
    return value


def _integer(body: Json, key: str) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRequest(f"{key} must be a whole number, not {str(value)[:80]!r}") from error
    if not 0 <= number <= LARGEST:
        raise BadRequest(f"{key} must be a whole number from 0 to {LARGEST}")
    return number


def _seconds(body: Json, key: str) -> float | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise BadRequest(f"{key} must be a number of seconds, not {str(value)[:80]!r}")
    return float(value)
