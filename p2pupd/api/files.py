"""A file as an HTTP answer, whole or one range of it (RFC 9110, sections 8.8, 13 and 14)."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import BinaryIO, Final

from aiohttp import web

from p2pupd.api.limits import send
from p2pupd.api.ranges import NotSatisfiable, parse_range
from p2pupd.api.settings import PeerApiSettings

CHUNK: Final = 64 * 1024
"""Bytes sent, and read from disk, at once."""


@dataclass(frozen=True, slots=True)
class Way:
    """How bytes get out: `admit` waits until so many may, and says no when no more of them may;
    `sent` is told of each block that went."""

    admit: Callable[[int], Awaitable[bool]]
    sent: Callable[[int], None]


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
    body = _blocks(file, start, count if request.method == "GET" else 0)
    if way is not None:
        body = _paced(body, way, response)
    return await send(request, response, body, settings)


async def hide_server(_: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`: what we run on is nobody's business."""
    response.headers["Server"] = "p2pupd"


async def _paced(
    blocks: AsyncIterator[bytes], way: Way, response: web.StreamResponse
) -> AsyncIterator[bytes]:
    """Whoever takes the blocks comes back only for what it could send."""
    async for block in blocks:
        if not await way.admit(len(block)):
            response.force_close()
            return
        yield block
        way.sent(len(block))


async def _blocks(file: BinaryIO, start: int, count: int) -> AsyncIterator[bytes]:
    """A file that became shorter ends the body early; the caller sees it by the length."""
    end = start + count
    while start < end:
        block = await asyncio.to_thread(os.pread, file.fileno(), min(CHUNK, end - start), start)
        if not block:
            return
        start += len(block)
        yield block
