"""A file as an HTTP answer, whole or one range of it (RFC 9110, sections 8.8, 13 and 14)."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final

from aiohttp import web

from p2pupd.api.limits import deliver
from p2pupd.api.ranges import NotSatisfiable, parse_range
from p2pupd.api.settings import PeerApiSettings

CHUNK: Final = 64 * 1024
"""Bytes of a body that are sent at once."""
UNHURRIED: Final = 256 * 1024
"""The same of a file where no rate is kept. A slow reader gets the time for it that it may take."""


@dataclass(frozen=True, slots=True)
class Way:
    """How bytes get out: `admit` waits until so many may, and says no when no more of them may;
    `sent` is told of each block that went, `limited` tells whether a rate is kept."""

    admit: Callable[[int], Awaitable[bool]]
    sent: Callable[[int], None]
    limited: Callable[[], bool]


async def send_file(
    request: web.Request,
    file: BinaryIO,
    tag: str,
    settings: PeerApiSettings,
    way: Way | None = None,
) -> web.StreamResponse:
    """Answer with `file`, whose quoted entity tag is `tag`, at the caller's pace (limits.send).

    The connection ends early where `way` admits no more.
    """
    length = os.fstat(file.fileno()).st_size
    wanted = request.headers.get("Range")
    if request.method != "GET" or request.headers.get("If-Range", tag) != tag:
        wanted = None
    try:
        part = parse_range(wanted, length)
    except NotSatisfiable as error:
        raise web.HTTPRequestRangeNotSatisfiable(
            headers={"Content-Range": f"bytes */{length}"}
        ) from error
    start, count = part or (0, length)
    response = web.StreamResponse(
        status=206 if part else 200,
        headers={
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            "ETag": tag,
        },
    )
    response.content_length = count
    if part:
        response.headers["Content-Range"] = f"bytes {start}-{start + count - 1}/{length}"
    blocks = _blocks(start, count if request.method == "GET" else 0, way)
    if way is not None:
        blocks = _paced(blocks, way, response)
    return await deliver(request, response, blocks, partial(_send, request, file), settings)


async def hide_server(_: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`: what we run on is nobody's business."""
    response.headers["Server"] = "p2pupd"


async def _send(request: web.Request, file: BinaryIO, block: range) -> None:
    """From the file to the socket without a copy in this process (sendfile(2)).

    Raises ConnectionResetError where the caller is gone, or the file is shorter than it was.
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the caller hung up")
    loop = asyncio.get_running_loop()
    sent = await loop.sendfile(transport, file, block.start, len(block))
    if sent != len(block):
        transport.abort()
        raise ConnectionResetError("the file became shorter")


async def _paced(
    blocks: AsyncIterator[range], way: Way, response: web.StreamResponse
) -> AsyncIterator[range]:
    """Whoever takes the blocks comes back only for what it could send."""
    async for block in blocks:
        if not await way.admit(len(block)):
            response.force_close()
            return
        yield block
        way.sent(len(block))


async def _blocks(start: int, count: int, way: Way | None) -> AsyncIterator[range]:
    """Bytes of a file, block by block; small ones for an even pace where a rate is kept."""
    end = start + count
    while start < end:
        most = CHUNK if way is not None and way.limited() else UNHURRIED
        block = range(start, min(end, start + most))
        yield block
        start = block.stop
