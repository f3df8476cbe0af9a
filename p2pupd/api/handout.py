"""`POST /peer/v1/artifact/<sha256>/handout`: pieces that a seed chooses, as fast as they are taken.

The body is the list of pieces that are not wanted, a bit a piece; the answer is what wire.handout
says. Little waits in buffers, so that a device which takes nothing holds no pieces up.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from aiohttp import web

from p2pupd.api.files import Way
from p2pupd.api.limits import deliver
from p2pupd.api.settings import PeerApiSettings
from p2pupd.model.setting import Bytes
from p2pupd.wire.handout import NUMBER

BUFFER: Final = 16 * 1024
"""Bytes that are on their way on a connection, about."""
SLOWEST: Final = Bytes(1024)
"""Bytes per second that a device must take: on a large floor each gets a small part of a line."""


async def hand_out(
    request: web.Request, parts: AsyncIterator[bytes], settings: PeerApiSettings, way: Way
) -> web.StreamResponse:
    """Answer with `parts`. It ends early where `way` admits no more, or a rate is to be kept."""
    transport = request.transport
    if isinstance(transport, asyncio.WriteTransport):
        transport.set_write_buffer_limits(high=0)
        opened = transport.get_extra_info("socket")
        with suppress(OSError, AttributeError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})

    async def write(part: bytes) -> None:
        await response.write(part)
        await request.writer.drain()

    slow = replace(settings, least_rate=SLOWEST)
    return await deliver(request, response, _admitted(parts, response, way), write, slow)


async def _admitted(
    parts: AsyncIterator[bytes], response: web.StreamResponse, way: Way
) -> AsyncIterator[bytes]:
    async for part in parts:
        payload = max(0, len(part) - NUMBER)
        if way.limited() or not await way.admit(payload):
            response.force_close()
            return
        yield part
        way.sent(payload)
