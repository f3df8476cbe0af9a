"""HTTP to a server far away that nobody vouches for: bounded in time, bytes and redirects.

Everything that comes is counted and paced by the Allowance. TLS is verified; a redirect never
leads from https to http.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from p2pupd.errors import ConfigError, FetchError
from p2pupd.feeds.allowance import LEAST_BURST, Allowance
from p2pupd.feeds.uplink_settings import UplinkSettings
from p2pupd.model.setting import NO_PATH

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS: Final = 5
CONNECTIONS: Final = 8
IDLE_TIMEOUT: Final = 15.0
"""Seconds that an unused connection is kept."""
NOT_THERE: Final = frozenset({403, 404, 410})
"""A store of objects that may not be listed answers 403 for what it does not have."""
PASSING: Final = frozenset({408, 425, 429})
"""Statuses below 500 that are worth another try."""
HEADERS: Final = {"User-Agent": "p2pupd", "Accept-Encoding": "identity"}


class PassingError(FetchError):
    """A failure that may be over at the next try."""

    default_reason = "uplink-down"


@dataclass(frozen=True, slots=True)
class Small:
    """A small file; `tag` is its entity tag, empty where the server gave none."""

    content: bytes
    tag: str


class HttpClient:
    """Files below one base address. Use as `async with`."""

    def __init__(self, settings: UplinkSettings, allowance: Allowance) -> None:
        self._settings = settings
        self.allowance = allowance
        self._base = URL(settings.url.rstrip("/") + "/", encoded=True)
        self._places = asyncio.Semaphore(CONNECTIONS)

    async def __aenter__(self) -> Self:
        """Raises ConfigError when the certificates cannot be read."""
        settings = self._settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS,
                keepalive_timeout=IDLE_TIMEOUT,
                ssl=await asyncio.to_thread(_verifying, settings),
            ),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=settings.connect_timeout, sock_read=settings.stall_timeout
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=HEADERS,
            auto_decompress=False,
            proxy=settings.proxy or None,
            trust_env=settings.proxy_from_environment and not settings.proxy,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    def shown(self, path: str) -> str:
        """The address of `path` for people, without credentials."""
        return str(self._url(path).with_user(None))

    @asynccontextmanager
    async def get(
        self, path: str, headers: Mapping[str, str], seconds: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a GET of `path`, quoted and relative, all within `seconds`.

        The time begins when there is a free connection. Raises SourceGone while the uplink is
        closed, PassingError, or FetchError.
        """
        self.allowance.check()
        shown = self.shown(path)
        try:
            async with (
                self._places,
                asyncio.timeout(seconds),
                self._followed(self._url(path), headers) as answer,
            ):
                yield answer
        except aiohttp.ClientResponseError as error:
            raise PassingError(f"{shown}: {error.status} {error.message}") from error
        except TimeoutError as error:
            raise PassingError(f"{shown} is too slow, or does not answer") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PassingError(f"{shown} does not answer: {_why(error)}") from error

    async def small(self, path: str, limit: int, tag: str = "") -> Small | None:
        """A file of at most `limit` bytes; None where it is still the one with that `tag`.

        Raises as `get` does; FetchError with reason `not-there` where there is none.
        """
        seconds = self._settings.metadata_timeout + self.time_for(limit)
        headers = {"If-None-Match": tag} if tag else {}
        async with self.get(path, headers, seconds) as answer:
            if answer.status == 304 and tag:
                return None
            if answer.status != 200:
                raise self.refusal(path, answer)
            content = bytearray()
            async for chunk in self.chunks(answer, limit + 1):
                content += chunk
            if len(content) > limit:
                raise FetchError(f"{self.shown(path)} has more than {limit} bytes")
            return Small(bytes(content), answer.headers.get("ETag", ""))

    async def chunks(self, answer: aiohttp.ClientResponse, most: int) -> AsyncIterator[bytes]:
        """The first `most` bytes of the body, counted and paced. Raises as `get`."""
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchError(f"{answer.url.with_user(None)} is sent in an encoding")
        while most and (chunk := await answer.content.read(min(most, LEAST_BURST))):
            most -= len(chunk)
            try:
                self.allowance.check()
            finally:
                await self.allowance.spend(len(chunk))
            yield chunk

    def time_for(self, count: int) -> float:
        """Seconds that the rate alone may make `count` bytes take, all connections being busy."""
        return self.allowance.time_for(count * CONNECTIONS)

    def refusal(self, path: str, answer: aiohttp.ClientResponse) -> FetchError:
        """The error for an answer that does not bring what was asked for."""
        says = f"{self.shown(path)} answered {answer.status} {answer.reason}"
        if answer.status in NOT_THERE:
            return FetchError(says, reason="not-there")
        passing = answer.status >= 500 or answer.status in PASSING
        return PassingError(says) if passing else FetchError(says)

    def _url(self, path: str) -> URL:
        return self._base.join(URL(path, encoded=True))

    @asynccontextmanager
    async def _followed(
        self, url: URL, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        for _ in range(MOST_REDIRECTS + 1):
            async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status not in REDIRECTS:
                    yield answer
                    return
                url = _redirected(url, answer)
        raise FetchError(f"{url.with_user(None)}: more than {MOST_REDIRECTS} redirects")


def _why(error: Exception) -> str:
    """In words for people; the client's own speak of its classes."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not accepted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        proxy = isinstance(error, aiohttp.ClientProxyConnectionError)
        return ("the proxy: " if proxy else "") + _system(error.os_error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "its answer ended too early"
    if isinstance(error, OSError):
        return _system(error)
    return str(error) or type(error).__name__


def _system(error: OSError) -> str:
    """Asyncio puts an address where the system's message belongs."""
    if isinstance(error, socket.gaierror) or not error.errno or error.errno < 0:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)


def _redirected(url: URL, answer: aiohttp.ClientResponse) -> URL:
    target = url.join(URL(answer.headers.get("Location", "")))
    allowed = {"https"} if url.scheme == "https" else {"http", "https"}
    if target.scheme not in allowed or not target.host:
        raise FetchError(
            f"{url.with_user(None)} leads to {str(target.with_user(None))[:200]!r}, which is "
            f"not followed"
        )
    return target


def _verifying(settings: UplinkSettings) -> ssl.SSLContext:
    try:
        chosen = settings.ca_file != NO_PATH
        return ssl.create_default_context(cafile=str(settings.ca_file) if chosen else None)
    except OSError as error:
        raise ConfigError(f"uplink.ca_file: cannot read {settings.ca_file}: {error}") from error
