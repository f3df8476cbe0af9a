"""A caller that hangs up before it has got everything."""

import asyncio
import logging
import socket
import struct
from pathlib import Path

import pytest

from tests.http_swarming import Shelf, serving
from tests.support import eventually
from tests.swarming import an_artifact


async def test_a_caller_that_hangs_up_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    artifact, _ = an_artifact(tmp_path, 16 << 20, 1 << 20)
    shelf = Shelf()
    shelf.add(artifact, tmp_path)
    async with serving(shelf) as peer:
        reader, writer = await asyncio.open_connection(peer.host, peer.api_port)
        path = f"/peer/v1/artifact/{artifact.sha256}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readexactly(1000)
        link = writer.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await eventually(lambda: f"path={path}" in caplog.text)
    assert "Traceback" not in caplog.text
