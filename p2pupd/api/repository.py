"""A repository's directory over HTTP, read-only: what devices with an uplink fetch from.

Only regular files of `metadata/` and `targets/`: no listing, no name that begins with a dot, no
link is followed (host/beneath). With Range, ETag, If-None-Match and If-Range.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO, Final

from aiohttp import web

from p2pupd.api.files import hide_server, send_file
from p2pupd.api.settings import PeerApiSettings
from p2pupd.errors import HostError, UnsafeMedia, UsageError
from p2pupd.host import beneath
from p2pupd.model.setting import Bytes, Seconds

SERVED: Final = frozenset({"metadata", "targets"})
BACKLOG: Final = 128
SHUTDOWN_TIMEOUT: Final = 1.0
PACE: Final = PeerApiSettings(stall=Seconds(60), least_rate=Bytes(256))
"""An uplink may be slow on purpose; a reader that takes nothing is cut off."""
HIDDEN: Final = ("", ".")
"""First characters of names that are not served."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Told = Callable[[str], None]


def listen(where: str) -> socket.socket:
    """A socket that listens at `ADDRESS:PORT`. Raises UsageError or HostError."""
    host, _, port = where.rpartition(":")
    address = host.strip("[]")
    try:
        family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
        number = int(port)
        if not 0 <= number < 65536:
            raise ValueError(port)
    except ValueError as error:
        raise UsageError(
            f"{where} is not ADDRESS:PORT, such as 127.0.0.1:8000 or [::]:8000"
        ) from error
    try:
        return socket.create_server((address, number), family=family, backlog=BACKLOG)
    except OSError as error:
        raise HostError(f"cannot listen on {where}: {error.strerror or error}") from error


def url_of(sock: socket.socket) -> str:
    """Where a listening socket is reached from this host."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve_repository(directory: Path, sock: socket.socket, told: Told) -> None:
    """Serve until cancelled; `told` gets a line for each request."""
    app = web.Application(middlewares=[_Log(told).around])
    app.on_response_prepare.append(hide_server)
    app.add_routes([web.get("/{path:.*}", _Files(directory).get)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    try:
        await web.SockSite(runner, sock, backlog=BACKLOG).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


class _Log:
    def __init__(self, told: Told) -> None:
        self._told = told

    @web.middleware
    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            self._tell(request, error.status, 0)
            raise
        self._tell(request, response.status, response.content_length or 0)
        return response

    def _tell(self, request: web.Request, status: int, length: int) -> None:
        asked = request.headers.get("Range", "")
        shown = request.raw_path[:200].encode("ascii", "backslashreplace").decode()
        self._told(f"{request.remote} {request.method} {shown} {status} {length} {asked}".rstrip())


class _Files:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def get(self, request: web.Request) -> web.StreamResponse:
        file = await asyncio.to_thread(self._open, request.match_info["path"].split("/"))
        if file is None:
            raise web.HTTPNotFound(text="there is no such file\n")
        with file:
            facts = os.fstat(file.fileno())
            value = f"{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}"
            tag = f'"{value}"'
            if any(each.value in (value, "*") for each in request.if_none_match or ()):
                return web.Response(status=304, headers={"ETag": tag})
            return await send_file(request, file, tag, PACE)

    def _open(self, names: list[str]) -> BinaryIO | None:
        *directories, name = names
        if names[0] not in SERVED or not directories or any(each[:1] in HIDDEN for each in names):
            return None
        try:
            with (
                beneath.opened(self._directory) as top,
                beneath.descended(top, directories) as last,
            ):
                return open(beneath.open_file(last, name), "rb")
        except (OSError, UnsafeMedia):
            return None
