"""The uplink: a TUF repository far away, asked for news now and then, offered like any source.

A poll without news costs one request, answered 304. What is offered comes with a RemoteContent, so
that the engine can ask for any part of a target. Nothing is believed here.
"""

import asyncio
import hashlib
import json
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from p2pupd.core.backoff import delay
from p2pupd.errors import FetchError, SourceGone, UpdateError
from p2pupd.feeds.allowance import Allowance
from p2pupd.feeds.http_client import HttpClient
from p2pupd.feeds.interface import FeedListener, Offer
from p2pupd.feeds.picking import METADATA, TIMESTAMP, picking, timestamp_version
from p2pupd.feeds.uplink_content import UplinkContent
from p2pupd.feeds.uplink_settings import UplinkSettings
from p2pupd.host.files import read_bounded, write_durably
from p2pupd.trust.settings import TrustSettings
from p2pupd.wire import bundle as wire

log = logging.getLogger(__name__)

Known = Callable[[], bytes | None]
"""The encoded bundle that this device has accepted last, if any."""

MONTHS_FILE: Final = "uplink-months.json"
SEEN_FILE: Final = "uplink-seen.json"
SEEN_LIMIT: Final = 4096


class UplinkFeed:
    """A Feed; without a `url` it does nothing. `on_change` is called, on the event loop, whenever
    `available` changes."""

    def __init__(
        self,
        settings: UplinkSettings,
        limits: TrustSettings,
        state_dir: Path,
        *,
        known: Known = lambda: None,
        on_change: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`limits` bound each metadata file; `state_dir` keeps what outlives a restart."""
        self._settings = settings
        self._limits = limits
        self._state_dir = state_dir
        self._known = known
        self._on_change = on_change
        self._wall = wall
        self._chance = chance
        self._allowance = Allowance(settings, state_dir / MONTHS_FILE, wall=wall)
        self.available = False
        self._since = wall()
        self._error = ""
        self._failures = 0
        self._due = 0.0
        self._bundle: bytes | None = None
        self._wake = asyncio.Event()

    @property
    def bytes_received(self) -> int:
        """Body bytes since the start, metadata included."""
        return self._allowance.bytes_received

    def apply(self, settings: UplinkSettings) -> None:
        """The rate, the monthly allowance and the hours of `settings` count from now on."""
        self._allowance.apply(settings)
        self._wake.set()

    def check(self) -> None:
        """Forget what was offered before and ask now, at an operator's wish."""
        self._bundle = None
        self._due = 0.0
        self._wake.set()

    def state(self) -> dict[str, Any] | None:
        """For `p2pupd status`; None without a `url`.

        `since` and `next` are Unix seconds; `next` is None while closed.
        """
        if not self._settings.url:
            return None
        allowance = self._allowance
        closed = allowance.closed()
        left = max(0.0, self._due - asyncio.get_running_loop().time())
        return {
            "url": self._shown,
            "available": self.available,
            "since": self._since,
            "error": closed or self._error,
            "next": None if closed else self._wall() + left,
            "received": self.bytes_received,
            "month": allowance.month,
            "month_bytes": allowance.month_bytes,
            "monthly": allowance.monthly,
            "rate": allowance.rate,
            "hours": list(allowance.hours),
            "hours_open": allowance.hours_open,
        }

    async def run(self, listener: FeedListener) -> None:
        """See Feed. Raises ConfigError when `ca_file` cannot be read."""
        if not self._settings.url:
            await asyncio.Event().wait()
        await asyncio.to_thread(self._allowance.load)
        seen = Seen(self._state_dir / SEEN_FILE, self._shown)
        try:
            async with HttpClient(self._settings, self._allowance) as client:
                repository = TufRepository(client, self._limits, self._known, seen)

                def gave_up(gone: SourceGone) -> None:
                    self._failed(listener, gone)

                content = UplinkContent(client, self._settings, gave_up, self._chance)
                await self._follow(listener, repository, content)
        finally:
            await self._allowance.save()

    async def _follow(
        self, listener: FeedListener, repository: "TufRepository", content: UplinkContent
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            pauses = [self._allowance.next_change()]
            closed = self._allowance.closed()
            if closed:
                self._due = 0.0
                self._unavailable(listener, closed)
            elif self._due <= loop.time():
                await self._poll(listener, repository, content)
                continue
            else:
                pauses.append(self._due - loop.time())
            await self._sleep(min((each for each in pauses if each is not None), default=None))

    async def _sleep(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _poll(
        self, listener: FeedListener, repository: "TufRepository", content: UplinkContent
    ) -> None:
        try:
            bundle = await repository.bundle()
        except UpdateError as error:
            self._failed(listener, error)
            return
        self._failures = 0
        self._error = ""
        interval = self._settings.interval * (1 - self._chance() / 4)
        self._due = asyncio.get_running_loop().time() + interval
        news = bundle != self._bundle
        self._bundle = bundle
        if news or not self.available:
            log.info("uplink.offer source=%s bytes=%d", self.source, len(bundle))
            self._set(available=True)
            listener.offer(Offer(self.source, bundle, remote=content))

    @property
    def source(self) -> str:
        """The name of what it offers."""
        return f"uplink:{self._shown}"

    @property
    def _shown(self) -> str:
        return without_credentials(self._settings.url)

    def _failed(self, listener: FeedListener, error: UpdateError) -> None:
        self._failures += 1
        log.info("uplink.failed source=%s reason=%s error=%s", self.source, error.reason, error)
        pause = min(delay(self._failures, self._chance()), self._settings.interval)
        self._due = asyncio.get_running_loop().time() + pause
        self._unavailable(listener, str(error))
        self._wake.set()

    def _unavailable(self, listener: FeedListener, why: str) -> None:
        self._error = why
        if self.available:
            log.warning("uplink.lost source=%s error=%s", self.source, why)
            self._set(available=False)
            listener.source_gone(self.source)

    def _set(self, *, available: bool) -> None:
        if self.available is not available:
            self.available = available
            self._since = self._wall()
            self._on_change()


class Seen:
    """The timestamp that was seen last, with its entity tag, over restarts."""

    def __init__(self, path: Path, url: str) -> None:
        self._path = path
        self._url = url

    def tag_of(self, timestamp: bytes) -> str:
        """The tag that it had at this address; empty where that is not known. Blocks."""
        try:
            seen = json.loads(read_bounded(self._path, SEEN_LIMIT))
        except (UpdateError, ValueError):
            return ""
        wanted = {"url": self._url, "timestamp": hashlib.sha256(timestamp).hexdigest()}
        same = isinstance(seen, dict) and wanted.items() <= seen.items()
        return seen["tag"] if same and isinstance(seen.get("tag"), str) else ""

    def remember(self, timestamp: bytes, tag: str) -> None:
        """Blocks. A disk that refuses costs one more answer after a restart."""
        seen = {
            "url": self._url,
            "timestamp": hashlib.sha256(timestamp).hexdigest(),
            "tag": tag[: SEEN_LIMIT // 4],
        }
        try:
            write_durably(self._path, json.dumps(seen).encode())
        except UpdateError as error:
            log.warning("uplink.not-saved path=%s error=%s", self._path, error)


class TufRepository:
    """The metadata of now, as a client must fetch it (TUF specification 5): the timestamp, new
    roots, the snapshot that it names, and the targets that that one names."""

    def __init__(self, client: HttpClient, limits: TrustSettings, known: Known, seen: Seen) -> None:
        self._client = client
        self._limits = limits
        self._known = known
        self._seen = seen
        self._tag = ""
        self._timestamp = b""
        self._bundle: bytes | None = None

    async def bundle(self) -> bytes:
        """The encoded bundle of now.

        Raises FetchError, MetadataError, or UnsafeMedia and ProtocolError when it is too large.
        """
        if self._bundle is None:
            await self._recall()
        timestamp = await self._client.small(
            f"{METADATA}/{TIMESTAMP}", self._limits.timestamp_limit, self._tag
        )
        if self._bundle is not None:
            if timestamp is None:
                return self._bundle
            if timestamp.content == self._timestamp:
                self._tag = timestamp.tag
                return self._bundle
        assert timestamp is not None
        roots = await self._roots()
        files = await self._picked(timestamp.content) | roots
        bundle = wire.encode(wire.Bundle(files))
        self._timestamp, self._bundle, self._tag = timestamp.content, bundle, timestamp.tag
        if timestamp.tag:
            await asyncio.to_thread(self._seen.remember, timestamp.content, timestamp.tag)
        return bundle

    async def _recall(self) -> None:
        """Go on from what this device has accepted."""
        known = self._known()
        if known is None:
            return
        self._timestamp = wire.decode(known).files[TIMESTAMP]
        self._tag = await asyncio.to_thread(self._seen.tag_of, self._timestamp)
        self._bundle = known

    async def _roots(self) -> dict[str, bytes]:
        """Every root version: those that this device believes, and what has come since."""
        known = self._known()
        files = wire.decode(known).files if known else {}
        roots: dict[str, bytes] = {}
        while (name := f"{len(roots) + 1}.root.json") in files:
            roots[name] = files[name]
        for _ in range(self._limits.max_root_rotations + 1):
            name = f"{len(roots) + 1}.root.json"
            try:
                found = await self._client.small(f"{METADATA}/{name}", self._limits.root_limit)
            except FetchError as error:
                if error.reason != "not-there" or not roots:
                    raise
                return roots
            assert found is not None
            roots[name] = found.content
        return roots

    async def _picked(self, timestamp: bytes) -> dict[str, bytes]:
        wanted = picking(timestamp, ())
        try:
            name = next(wanted)
            while True:
                role = name.removesuffix(".json").rpartition(".")[2]
                snapshot = role == "snapshot"
                limit = self._limits.snapshot_limit if snapshot else self._limits.targets_limit
                found = await self._client.small(f"{METADATA}/{name}", limit)
                assert found is not None
                name = wanted.send(found.content)
        except StopIteration as end:
            files: dict[str, bytes] = end.value
            return files


async def ask_once(settings: UplinkSettings, limits: TrustSettings, state_dir: Path) -> int:
    """The version that the repository's timestamp claims, for `doctor`. Raises UpdateError."""
    allowance = Allowance(settings, state_dir / MONTHS_FILE)
    async with HttpClient(settings, allowance) as client:
        found = await client.small(f"{METADATA}/{TIMESTAMP}", limits.timestamp_limit)
    assert found is not None
    return timestamp_version(found.content)


def without_credentials(url: str) -> str:
    """`url` as people may see it."""
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"
