"""Any part of a target from far away, by HTTP Range (RFC 9110, section 14). Nothing is believed."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar
from urllib.parse import quote

import aiohttp

from p2pupd.core.backoff import delay
from p2pupd.core.piece_layer import layer_length
from p2pupd.errors import FetchError, SourceGone
from p2pupd.feeds.http_client import HttpClient, PassingError
from p2pupd.feeds.repository import layer_names, target_names
from p2pupd.feeds.uplink_settings import UplinkSettings
from p2pupd.model.release import Release

CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
LEAST_RATE: Final = 2048
"""Bytes per second below which a connection is not worth waiting for."""
PROGRESS: Final = 64 * 1024
"""Bytes after which a line that fails again counts as one that works."""
TAGS: Final = 64
"""Entity tags remembered."""

T = TypeVar("T")


class UplinkContent:
    """RemoteContent. `gave_up` is told of every SourceGone before it is raised."""

    def __init__(
        self,
        client: HttpClient,
        settings: UplinkSettings,
        gave_up: Callable[[SourceGone], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._settings = settings
        self._gave_up = gave_up
        self._chance = chance
        self._tags: dict[str, str] = {}

    async def layer(self, release: Release) -> bytes | None:
        """See RemoteContent. FetchError when it is not as long as is right."""
        path = _path(layer_names(release))
        length = layer_length(release.artifact)
        try:
            small = await self._patiently(partial(self._client.small, path, length))
        except FetchError as error:
            if error.reason == "not-there":
                return None
            raise
        if small is None or len(small.content) != length:
            raise FetchError(f"{self._client.shown(path)} is not {length} bytes long")
        return small.content

    async def read(self, release: Release, start: int, count: int) -> bytes:
        """See RemoteContent. Raises ValueError for a part that the target does not have."""
        if not (start >= 0 and count > 0 and start + count <= release.artifact.length):
            raise ValueError(f"{release.label} has no {count} bytes from {start}")
        whole = bytearray()
        while len(whole) < count:
            part = _Part(release, start + len(whole), min(self._settings.range, count - len(whole)))
            await self._patiently(partial(self._fill, part), part)
            whole += part.got
        return bytes(whole)

    async def _patiently(self, step: Callable[[], Awaitable[T]], part: "_Part | None" = None) -> T:
        """`step` until it succeeds or fails for good; what it adds to `part` is progress."""
        failures = counted = 0
        while True:
            try:
                return await step()
            except PassingError as error:
                failures += 1
                if part and part.most - counted >= PROGRESS:
                    failures, counted = 1, part.most
                if failures > self._settings.retries:
                    gone = SourceGone(f"the uplink is down: {error}", reason="uplink-down")
                    self._gave_up(gone)
                    raise gone from error
            except SourceGone as gone:
                self._gave_up(gone)
                raise
            await asyncio.sleep(delay(failures, self._chance()))

    async def _fill(self, part: "_Part") -> None:
        """Ask for what is missing of the part. What came stays when it fails."""
        path = _path(target_names(part.release))
        seconds = self._settings.stall_timeout + part.missing / LEAST_RATE
        seconds += self._client.time_for(part.missing)
        sha256 = part.release.artifact.sha256
        tag = self._tags.get(sha256, "")
        async with self._client.get(path, part.headers(tag), seconds) as answer:
            if answer.status == 200 and part.at and tag:
                self._tags.pop(sha256, None)
                raise PassingError(f"{self._client.shown(path)} has changed")
            if answer.status not in (200, 206):
                raise self._client.refusal(path, answer)
            part.check(answer, self._client.shown(path))
            self._remember(sha256, answer.headers.get("ETag", ""))
            async for chunk in self._client.chunks(answer, part.missing):
                part.add(chunk)
        if part.missing:
            raise PassingError(f"{self._client.shown(path)} ended early")

    def _remember(self, sha256: str, tag: str) -> None:
        """Only a strong tag may stand in If-Range (RFC 9110, section 13.1.5)."""
        if tag.startswith('"') and sha256 not in self._tags:
            self._tags[sha256] = tag
            if len(self._tags) > TAGS:
                del self._tags[next(iter(self._tags))]


class _Part:
    """`count` bytes from `start` of a target; `got` is what is there of them.

    `most` is the most that ever was: it counts as progress when a server begins anew.
    """

    def __init__(self, release: Release, start: int, count: int) -> None:
        self.release = release
        self._start = start
        self._count = count
        self.got = bytearray()
        self.most = 0

    @property
    def at(self) -> int:
        return self._start + len(self.got)

    @property
    def missing(self) -> int:
        return self._count - len(self.got)

    def headers(self, tag: str) -> dict[str, str]:
        wanted = {"Range": f"bytes={self.at}-{self._start + self._count - 1}"}
        return wanted | ({"If-Range": tag} if tag else {})

    def add(self, chunk: bytes) -> None:
        self.got += chunk
        self.most = max(self.most, len(self.got))

    def check(self, answer: aiohttp.ClientResponse, shown: str) -> None:
        """Raises FetchError where the answer is not the part that was asked for.

        A server without Range sends everything: that helps only from the first byte on.
        """
        if answer.status == 200:
            if self._start:
                raise FetchError(f"{shown}: the server cannot send a part of a file (Range)")
            total, self.got = str(answer.content_length or "*"), bytearray()
        else:
            match = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if match is None:
                raise FetchError(f"{shown}: the server does not say which part it sends")
            first, last, total = int(match[1]), int(match[2]), match[3]
            if first != self.at or not first <= last < self._start + self._count:
                raise FetchError(f"{shown}: another part was sent than was asked for")
            if answer.content_length not in (None, last - first + 1):
                raise FetchError(f"{shown}: the part's length contradicts itself")
        if total not in ("*", str(self.release.artifact.length)):
            raise FetchError(f"{shown} has {total} bytes, which is not what was signed")


def _path(names: tuple[str, ...]) -> str:
    return "/".join(quote(each, safe="") for each in names)
