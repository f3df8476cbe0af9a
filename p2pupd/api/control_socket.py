"""The Unix socket of the control API."""

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from p2pupd.host.files import host_error


async def serve_socket(
    app: web.Application, path: Path, mode: int, group: int | None = None
) -> None:
    """Serve on the Unix socket until cancelled; a stale socket file is replaced.

    Nobody is let in before the mode is set. `group` (a number) will own it. Raises HostError.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, _bound(path, mode, group)).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
        with suppress(OSError):
            path.unlink()


def _bound(path: Path, mode: int, group: int | None) -> socket.socket:
    """Callers are refused until somebody listens on it."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        made.bind(str(path))
        if group is not None and group != path.stat().st_gid:
            os.chown(path, -1, group)
        path.chmod(mode)
    except OSError as error:
        made.close()
        raise host_error(error, f"make the control socket {path}") from error
    return made
