"""Neighbours as a feed: whoever announces a manifest that we lack is asked for it.

Of several neighbours with the same manifest one is asked, the others when it fails. What comes is
offered and never believed; a manifest that was offered is not fetched again for a while.
"""

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from p2pupd.core.backoff import delay
from p2pupd.core.token_bucket import TokenBucket
from p2pupd.errors import UpdateError
from p2pupd.feeds.interface import FeedListener, Offer
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.model.device import Neighbour
from p2pupd.model.ids import NO_MANIFEST, DeviceId, ManifestDigest, announced
from p2pupd.wire.bundle import digest

log = logging.getLogger(__name__)

HOLDERS_LIMIT: Final = 1024
MOST_DOUBLINGS: Final = 6

AskBundle = Callable[[str, int, ManifestDigest | None], Awaitable[bytes | None]]
"""PeerClient.bundle: (host, port, what we have) -> bundle, or None if it is that. Raises
FetchError or ProtocolError."""


@dataclass(slots=True, eq=False)
class Holder:
    """A neighbour with the manifest it announces (16 digits); asked again not before `due`."""

    neighbour: Neighbour
    manifest: str
    bucket: TokenBucket
    failures: int = 0
    due: float = 0.0


class NeighbourFeed:
    """`Feed`; the engine tells it of neighbours as a DiscoveryListener."""

    def __init__(
        self,
        settings: NeighbourFeedSettings,
        ask_bundle: AskBundle,
        current: Callable[[], ManifestDigest | None],
        *,
        suspect: Callable[[DeviceId], None] = lambda _: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`current` is the digest of the manifest this device has accepted, if any.

        `suspect` is told of every neighbour that did not answer.
        """
        self._settings = settings
        self._ask_bundle = ask_bundle
        self._current = current
        self._suspect = suspect
        self._chance = chance
        self._holders: dict[DeviceId, Holder] = {}
        self._fetching: set[str] = set()
        self._offered: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._was_current = ""
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()

    def neighbour_seen(self, neighbour: Neighbour) -> None:
        """An admitted neighbour, or news of what it announces."""
        holder = self._holders.get(neighbour.id)
        if holder is None:
            if len(self._holders) >= HOLDERS_LIMIT:
                return
            rate, burst = self._settings.bundle_rate, self._settings.bundle_burst
            bucket = TokenBucket(rate, burst, self._loop.time())
            holder = self._holders[neighbour.id] = Holder(neighbour, "", bucket)
        if holder.manifest != neighbour.manifest:
            holder.due = self._loop.time()
        holder.neighbour = neighbour
        holder.manifest = neighbour.manifest
        self._wake.set()

    def neighbour_lost(self, neighbour: DeviceId, _source: str) -> None:
        """It left; what it alone had cannot be had now."""
        self._holders.pop(neighbour, None)

    def check(self) -> None:
        """Forget what was offered before and ask again, at an operator's wish."""
        self._offered.clear()
        for holder in self._holders.values():
            holder.due = self._loop.time()
        self._wake.set()

    async def run(self, listener: FeedListener) -> None:
        """Ask and offer until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                holder, pause = self._next()
                if holder is None:
                    await self._sleep(pause)
                elif holder.bucket.take(self._loop.time()):
                    self._fetching.add(holder.manifest)
                    group.create_task(self._fetch(listener, holder))
                else:
                    holder.due = self._loop.time() + holder.bucket.wait(self._loop.time())

    async def _sleep(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _next(self) -> tuple[Holder | None, float | None]:
        """Whom to ask now; else nobody and the seconds until somebody is due, if ever."""
        if len(self._fetching) >= self._settings.bundles_at_once:
            return None, None
        now = self._loop.time()
        self._note_current(now)
        wanted = [
            (max(holder.due, self._wanted_from(holder.manifest)), holder)
            for holder in self._holders.values()
            if holder.manifest and holder.manifest not in self._fetching
            if holder.manifest != self._was_current
        ]
        due = [holder for when, holder in wanted if when <= now]
        if due:
            return min(due, key=lambda holder: (holder.failures, self._chance())), None
        return None, min((when for when, _ in wanted), default=now) - now or None

    def _wanted_from(self, manifest: str) -> float:
        return self._offered.get(manifest, (0, 0.0))[1]

    def _note_current(self, now: float) -> None:
        """What was ours before is not news when a slower neighbour still announces it."""
        current = announced(self._current() or NO_MANIFEST)
        if current != self._was_current:
            if self._was_current:
                self._remember(self._was_current, now)
            self._was_current = current

    async def _fetch(self, listener: FeedListener, holder: Holder) -> None:
        neighbour, manifest = holder.neighbour, holder.manifest
        current = self._current()
        try:
            raw = await self._ask_bundle(neighbour.host, neighbour.port, current)
        except UpdateError as error:
            holder.failures += 1
            holder.due = self._loop.time() + delay(holder.failures, self._chance())
            log.info("neighbours.fetch-failed id=%s detail=%s", neighbour.id, error)
            self._suspect(neighbour.id)
        else:
            holder.failures = 0
            self._received(listener, holder, manifest, digest(raw) if raw else current, raw)
        finally:
            self._fetching.discard(manifest)
            self._wake.set()

    def _received(
        self,
        listener: FeedListener,
        holder: Holder,
        manifest: str,
        found: ManifestDigest | None,
        raw: bytes | None,
    ) -> None:
        """What a neighbour really has may be other than what it announced: then that counts."""
        now = self._loop.time()
        actual = announced(found or NO_MANIFEST)
        if holder.manifest == manifest:
            holder.manifest = actual
        if raw is None or self._wanted_from(actual) > now or found == self._current():
            return
        self._remember(actual, now)
        log.info(
            "neighbours.offer id=%s manifest=%s bytes=%d", holder.neighbour.id, found, len(raw)
        )
        listener.offer(Offer(f"neighbour:{holder.neighbour.id}", raw))

    def _remember(self, manifest: str, now: float) -> None:
        times, _ = self._offered.pop(manifest, (0, 0.0))
        wait = self._settings.again_after * 2 ** min(times, MOST_DOUBLINGS)
        self._offered[manifest] = (times + 1, now + wait)
        if len(self._offered) > self._settings.remembered:
            self._offered.popitem(last=False)
