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
from p2pupd.wire.handout import NUMBER, SLOWEST, Word, encode_number

BUFFER: Final = 16 * 1024
"""Bytes that are on their way on a connection, about."""


async def hand_out(
    request: web.Request, parts: AsyncIterator[bytes], settings: PeerApiSettings, way: Way
) -> web.StreamResponse:
    """Answer with `parts`. It ends early where `way` admits no more, or a rate is to be kept: the
    device is to ask anew, and is then told which of them it is.

    Whoever took much soon must take the next piece in time all the same: it was given to nobody
    else.
    """
    transport = request.transport
    if isinstance(transport, asyncio.WriteTransport):
        transport.set_write_buffer_limits(high=0)
        opened = transport.get_extra_info("socket")
        with suppress(OSError, AttributeError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})

    async def write(part: bytes) -> None:
        async with asyncio.timeout(settings.stall + len(part) / SLOWEST):
            await response.write(part)
            await request.writer.drain()

    slow = replace(settings, least_rate=Bytes(SLOWEST))
    return await deliver(request, response, _admitted(parts, way), write, slow)


async def _admitted(parts: AsyncIterator[bytes], way: Way) -> AsyncIterator[bytes]:
    async for part in parts:
        payload = max(0, len(part) - NUMBER)
        if way.limited() or not await way.admit(payload):
            yield encode_number(Word.AGAIN)
            return
        yield part
        way.sent(payload)
