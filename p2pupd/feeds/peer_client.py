"""Calls to other devices' peer API: bounded in time and in bytes, never following redirects."""

import asyncio
import zlib
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Self

import aiohttp

from p2pupd.errors import FetchError, NeighbourBusy, ProtocolError, UpdateError
from p2pupd.feeds.handed import Handed, Take
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.model.device import Neighbour
from p2pupd.model.ids import DeviceId, ManifestDigest, Sha256
from p2pupd.model.release import Artifact
from p2pupd.trust.logbook import MAX_BYTES as MOST_LOG
from p2pupd.wire import bundle, messages, sync
from p2pupd.wire.messages import Hello, Notify

CONNECTIONS: Final = 32
CONNECTIONS_PER_HOST: Final = 4
"""As many requests as a neighbour serves at a time: two for content, so others need not wait."""
IDLE_TIMEOUT: Final = 5.0
"""Seconds that an unused connection is kept: less than a server does, so that it is never stale."""
CHUNK: Final = 64 * 1024
LONGEST_RETRY: Final = 60
"""Seconds that a neighbour can ask us to wait, at most."""
HEADERS: Final = {"User-Agent": "p2pupd", "Accept-Encoding": "deflate"}


class PeerClient:
    """Use as `async with`: the connections live as long as the block."""

    def __init__(self, settings: NeighbourFeedSettings, local_address: str | None = None) -> None:
        """`local_address`: the IP address to call from, where the system should not choose."""
        self._settings = settings
        self._local = (local_address, 0) if local_address else None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS,
                limit_per_host=CONNECTIONS_PER_HOST,
                keepalive_timeout=IDLE_TIMEOUT,
                local_addr=self._local,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=HEADERS,
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def hello(self, host: str, port: int) -> Hello:
        """Who is at that IP address and port. Raises FetchError or ProtocolError."""
        url = _url(host, port, "hello")
        _, raw = await self._call("GET", url, messages.MAX_BYTES, self._settings.answer_timeout)
        return messages.decode_hello(raw)

    async def bundle(self, host: str, port: int, have: ManifestDigest | None) -> bytes | None:
        """Its manifest bundle as sent, not yet checked; None when it is the one we `have`.

        Raises FetchError or ProtocolError.
        """
        url = _url(host, port, "bundle")
        headers = {"If-None-Match": f'W/"{have}"'} if have else None
        status, raw = await self._call(
            "GET", url, bundle.MAX_BYTES, self._settings.bundle_timeout, headers=headers
        )
        return None if status == 304 else raw

    async def sync(self, neighbour: Neighbour, raw: bytes) -> bytes:
        """The neighbour's answer to a comparison of views, as sent (wire.sync).

        Raises FetchError or ProtocolError.
        """
        url = _url(neighbour.host, neighbour.port, "sync")
        timeout = self._settings.answer_timeout
        _, answer = await self._call("POST", url, sync.MAX_BYTES, timeout, body=raw)
        return answer

    async def log(self, neighbour: Neighbour) -> bytes:
        """The neighbour's newest lines of history, as signed (trust.logbook); not yet verified.

        Raises FetchError (404: it tells none) or ProtocolError.
        """
        url = _url(neighbour.host, neighbour.port, "log")
        timeout = self._settings.answer_timeout
        _, answer = await self._call("GET", url, MOST_LOG, timeout)
        return answer

    async def layer(self, host: str, port: int, sha256: Sha256, length: int) -> bytearray:
        """The piece layer of an artifact, `length` bytes long; not yet proved.

        Raises NeighbourBusy, FetchError (404: it does not have it) or ProtocolError.
        """
        url = _url(host, port, f"artifact/{sha256}/layer")
        return await self._content(url, length, {}, lambda answer: answer.status == 200)

    async def artifact_range(
        self, host: str, port: int, sha256: Sha256, start: int, count: int
    ) -> bytearray:
        """`count` bytes of an artifact from byte `start`; not yet proved. Raises the same."""
        url = _url(host, port, f"artifact/{sha256}")
        part = f"{start}-{start + count - 1}"

        def right(answer: aiohttp.ClientResponse) -> bool:
            sent = answer.headers.get("Content-Range", "")
            return answer.status == 206 and sent.startswith(f"bytes {part}/")

        return await self._content(url, count, {"Range": f"bytes={part}"}, right)

    async def handout(
        self, host: str, port: int, artifact: Artifact, unwanted: bytes, take: Take
    ) -> bool:
        """Take the pieces that a seed chooses, but for the `unwanted` (a bit each, core.handout),
        not yet proved. True when it is to be asked anew, false when all were handed out.

        Ended by what `take` raises; raises NeighbourBusy, FetchError or ProtocolError.
        """
        url, settings = _url(host, port, f"artifact/{artifact.sha256}/handout"), self._settings
        limits = aiohttp.ClientTimeout(
            total=None, connect=settings.connect_timeout, sock_read=settings.content_stall
        )
        try:
            async with (
                asyncio.timeout(settings.content_stall) as patience,
                self._session.post(
                    url,
                    data=unwanted,
                    headers={"Accept-Encoding": "identity"},
                    allow_redirects=False,
                    timeout=limits,
                ) as response,
            ):
                _check_status(response, url)
                handed = Handed(response.content, artifact, patience, settings.content_stall)
                return await handed.to(take)
        except asyncio.IncompleteReadError as error:
            raise FetchError(f"{url} broke off") from error
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise _silent(url, error) from error

    async def _content(
        self,
        url: str,
        length: int,
        headers: dict[str, str],
        right: Callable[[aiohttp.ClientResponse], bool],
    ) -> bytearray:
        """A body of exactly `length` bytes, however slowly it comes as long as it comes."""
        settings = self._settings
        limits = aiohttp.ClientTimeout(
            total=settings.content_stall + length / settings.content_rate,
            connect=settings.connect_timeout,
            sock_read=settings.content_stall,
        )
        headers = headers | {"Accept-Encoding": "identity"}
        try:
            async with self._session.get(
                url, headers=headers, allow_redirects=False, timeout=limits
            ) as response:
                _check_status(response, url)
                if not right(response) or response.headers.get("Content-Encoding"):
                    raise ProtocolError(f"{url} answered with something else than was asked for")
                return await _read_exactly(response.content, length, url)
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise _silent(url, error) from error

    async def notify(
        self, neighbours: Iterable[Neighbour], message: Notify
    ) -> tuple[DeviceId, ...]:
        """Tell all of them at the same time; returns those that could not be told."""
        body = message.encode()
        timeout = self._settings.answer_timeout
        places = asyncio.Semaphore(self._settings.notifies_at_once)
        missed: list[DeviceId] = []

        async def tell(neighbour: Neighbour) -> None:
            url = _url(neighbour.host, neighbour.port, "notify")
            async with places:
                try:
                    await self._call("POST", url, messages.MAX_BYTES, timeout, body=body)
                except UpdateError:
                    missed.append(neighbour.id)

        async with asyncio.TaskGroup() as group:
            for neighbour in neighbours:
                group.create_task(tell(neighbour))
        return tuple(missed)

    async def _call(
        self,
        method: str,
        url: str,
        limit: int,
        timeout: float,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[int, bytes]:
        """(status, body) with status 200, 204 or 304 and at most `limit` bytes of plain body."""
        limits = aiohttp.ClientTimeout(total=timeout, connect=self._settings.connect_timeout)
        try:
            async with self._session.request(
                method, url, headers=headers, data=body, allow_redirects=False, timeout=limits
            ) as response:
                if response.status not in (200, 204, 304):
                    raise FetchError(f"{url} answered {response.status} {response.reason}")
                raw = await _read(response.content, limit, url)
                deflated = response.headers.get("Content-Encoding") == "deflate"
                return response.status, _inflate(raw, limit, url) if deflated else raw
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise _silent(url, error) from error


def _silent(url: str, error: Exception) -> FetchError:
    return FetchError(f"{url} does not answer: {str(error) or type(error).__name__}")


def _check_status(response: aiohttp.ClientResponse, url: str) -> None:
    """Raises NeighbourBusy or FetchError for all but a success."""
    if response.status in (429, 503):
        text = response.headers.get("Retry-After", "")
        wait = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 1
        busy = f"{url} is busy: {response.status} {response.reason}"
        raise NeighbourBusy(busy, min(LONGEST_RETRY, max(1, wait)))
    if response.status not in (200, 206):
        raise FetchError(f"{url} answered {response.status} {response.reason}")


def _url(host: str, port: int, what: str) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/peer/v1/{what}"


async def _read(content: aiohttp.StreamReader, limit: int, url: str) -> bytes:
    raw = bytearray()
    async for chunk in content.iter_chunked(CHUNK):
        raw += chunk
        if len(raw) > limit:
            raise ProtocolError(f"{url} answered with more than {limit} bytes", reason="too-large")
    return bytes(raw)


async def _read_exactly(content: aiohttp.StreamReader, length: int, url: str) -> bytearray:
    """Into a buffer of that size: parts of artifacts are large, and are not copied once more."""
    raw, filled = bytearray(length), 0
    async for chunk in content.iter_chunked(CHUNK):
        if len(chunk) > length - filled:
            raise ProtocolError(f"{url} answered with more than {length} bytes", reason="too-large")
        raw[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    if filled != length:
        raise ProtocolError(f"{url} answered with {filled} bytes instead of {length}")
    return raw


def _inflate(raw: bytes, limit: int, url: str) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(raw, limit + 1)
    except zlib.error as error:
        raise ProtocolError(f"{url} answered with a damaged deflate stream: {error}") from error
    if len(plain) > limit:
        raise ProtocolError(f"{url} answered with more than {limit} bytes", reason="too-large")
    if not inflater.eof or inflater.unused_data:
        raise ProtocolError(f"{url} answered with a truncated deflate stream")
    return plain
