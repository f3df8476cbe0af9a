"""The control socket: who gets in, and what callers who leave or lie lead to."""

import asyncio
import socket
from pathlib import Path

import pytest
from aiohttp import web

from p2pupd.api.control_socket import serve_socket
from p2pupd.errors import HostError
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
