"""The control socket: who gets in, and what callers who leave or lie lead to."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from p2pupd.api.control import control_routes, errors
from p2pupd.api.control_client import ControlClient
from p2pupd.api.control_socket import serve_socket
from p2pupd.errors import HostError, UpdateError
from tests.support import eventually, running


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(str(path))
        except OSError:
            return False
    return True


async def test_the_socket_has_its_mode_and_replaces_a_stale_one(tmp_path: Path) -> None:
    path = tmp_path / "run" / "control.sock"
    path.parent.mkdir()
    path.write_bytes(b"stale")
    async with running(serve_socket(web.Application(), path, 0o600)):
        await eventually(lambda: _accepts(path))
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


async def test_a_socket_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"a file where a directory should be")
    with pytest.raises(HostError, match="control socket"):
        async with asyncio.timeout(5):
            await serve_socket(web.Application(), tmp_path / "run" / "control.sock", 0o660)


class Broken:
    """An operator's desk on which nothing works."""

    def __getattr__(self, name: str) -> Any:
        return self._import if name in ("import_from", "export_to") else self._call

    async def _call(self, *_: object) -> Any:
        raise OverflowError("Python int too large")

    async def _import(self, _: Path) -> AsyncGenerator[dict[str, Any], None]:
        yield {"progress": 1}
        raise OverflowError("Python int too large")


async def test_a_bug_is_told_in_a_sentence_and_its_traceback_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "control.sock"
    client = ControlClient(path)
    app = web.Application(middlewares=[errors])
    app.add_routes(control_routes(cast("Any", Broken())))
    async with running(serve_socket(app, path, 0o600)):
        await eventually(lambda: _accepts(path))
        for ask in (lambda: client.post("/v1/reload"), lambda: client.get("/v1/status")):
            with pytest.raises(UpdateError, match=r"mistake of its own.*too large") as caught:
                await asyncio.to_thread(ask)
            assert caught.value.reason == "bug"
        with pytest.raises(UpdateError, match="too large"):
            await asyncio.to_thread(lambda: list(client.stream("/v1/import", {"path": "/x"})))
    assert caplog.text.count("control.bug") == 3
    assert "Traceback" in caplog.text
