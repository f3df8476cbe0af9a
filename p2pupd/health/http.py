"""A probe that asks a web server.

A small HTTP/1.0 client on asyncio streams: the whole exchange has one timeout, ends at once when
cancelled, and never holds more than BODY_LIMIT of an answer, whatever the server sends.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from p2pupd.errors import ProtocolError
from p2pupd.health.interface import ProbeResult
from p2pupd.health.settings import HttpProbeSettings

BODY_LIMIT: Final = 64 * 1024
HEAD_LIMIT: Final = 16 * 1024
_END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is the beginning of the body, as far as it was needed, at most BODY_LIMIT bytes."""

    status: int
    body: bytes


class HttpProbe:
    """Healthy when a GET answers with an expected status and, if wanted, an expected text."""

    def __init__(self, settings: HttpProbeSettings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        return self._settings.name

    async def run(self, timeout: float) -> ProbeResult:
        url = self._settings.url
        try:
            async with asyncio.timeout(timeout):
                return self._judge(await _get(url, self._settings.contains.encode()))
        except TimeoutError:
            return ProbeResult(False, f"{url} did not answer within {timeout:g} s")
        except (OSError, ProtocolError, ValueError) as error:
            return ProbeResult(False, f"{url}: {error}")

    def _judge(self, answer: Answer) -> ProbeResult:
        wants = self._settings
        if not wants.status_from <= answer.status <= wants.status_to:
            expected = f"{wants.status_from} to {wants.status_to}"
            return ProbeResult(False, f"{wants.url} answered {answer.status}, not {expected}")
        if wants.contains.encode() not in answer.body:
            return ProbeResult(False, f"{wants.url}: the body does not contain {wants.contains!r}")
        return ProbeResult(True)


async def _get(url: str, wanted: bytes) -> Answer:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or (443 if tls else 80),
        ssl=ssl.create_default_context() if tls else None,
        limit=HEAD_LIMIT,
    )
    try:
        writer.write(_request(parts))
        await writer.drain()
        return Answer(await _status(reader), await _body(reader, wanted))
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _request(parts: SplitResult) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    head = (
        f"GET {target} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: p2pupd\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii")


async def _status(reader: asyncio.StreamReader) -> int:
    try:
        head = await reader.readuntil(_END_OF_HEAD)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ProtocolError("the answer is not HTTP, or its head is too long") from error
    version, _, rest = head.partition(b" ")
    status = rest[:3]
    if not version.startswith(b"HTTP/1.") or not status.isdigit():
        raise ProtocolError("the answer is not HTTP")
    return int(status)


async def _body(reader: asyncio.StreamReader, wanted: bytes) -> bytes:
    """No more of the body than it takes to find `wanted`: a stream of events never ends."""
    body = b""
    while wanted not in body and (part := await reader.read(BODY_LIMIT - len(body))):
        body += part
    return body
