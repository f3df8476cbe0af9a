"""A page that follows its device: parts that have changed since, as server-sent events.

Nothing is pushed into queues. Each reader asks for what is newer than what it has, so a slow one
only skips. All readers of a page share one rendering.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from p2pupd.api.dashboard.html import Html

Parts = dict[str, tuple[Html, object]]
"""{id: (the part, what must differ for it to be sent anew; None: the part itself)}"""
Render = Callable[[], Awaitable[Parts]]
News = Callable[[], Awaitable[None]]
"""Returns at the next change."""

SETTLE: Final = 0.1
"""Seconds in which changes that come together are shown together."""
INTERVAL: Final = 0.3
"""Seconds between two renderings at the least."""
LOOK: Final = 1.0
"""Seconds after which a page is rendered again though nothing is known to have changed."""
BUSY: Final = 4
IDLE: Final = 20
"""A page that takes long to render pauses so many times as long: after news, and without any."""
ALIVE: Final = 15.0
"""Seconds after which a reader hears that the device is there."""
BOOT: Final = secrets.token_hex(4)
"""Versions of another start of the daemon mean nothing."""


class Live:
    """The parts of one page, each with the version in which it changed last."""

    def __init__(self, render: Render, news: News) -> None:
        self._render = render
        self._news = news
        self._parts: dict[str, tuple[Html, object, int]] = {}
        self._version = 0
        self._rendered: float | None = None
        self._cost = 0.0
        self._lock = asyncio.Lock()

    async def now(self) -> tuple[str, dict[str, Html]]:
        """The version, and every part, not older than INTERVAL. Raises what rendering raises."""
        await self._since(asyncio.get_running_loop().time() - INTERVAL)
        return self._name(), {name: part[0] for name, part in self._parts.items()}

    async def follow(
        self, since: str, gone: Callable[[], bool] = lambda: False
    ) -> AsyncGenerator[str, None]:
        """Events until the reader is `gone`, for a page of version `since`: changed parts, or a
        word to load anew."""
        loop = asyncio.get_running_loop()
        await self._since(loop.time() - INTERVAL)
        have = self._number(since)
        if have is None:
            yield _event("stale", self._name(), {})
            return
        said = loop.time()
        while not gone():
            changed = {name: html for name, (html, _, at) in self._parts.items() if at > have}
            if changed:
                have, said = self._version, loop.time()
                yield _event("parts", self._name(), changed)
            elif loop.time() - said > ALIVE:
                said = loop.time()
                yield ": alive\n\n"
            await self._wait()
            await self._since(loop.time())

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(max(LOOK, IDLE * self._cost)):
                await self._news()
        except TimeoutError:
            return
        await asyncio.sleep(SETTLE)

    async def _since(self, moment: float) -> None:
        """Render, unless that was done since `moment` of the loop's clock."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if self._rendered is not None:
                if self._rendered >= moment:
                    return
                pause = max(INTERVAL, BUSY * self._cost)
                await asyncio.sleep(max(0.0, self._rendered + pause - loop.time()))
            began = loop.time()
            self._take(await self._render())
            self._rendered, self._cost = began, loop.time() - began

    def _take(self, parts: Parts) -> None:
        fresh: dict[str, tuple[Html, object, int]] = {}
        number = self._version + 1
        for name, (html, differs) in parts.items():
            key = html if differs is None else differs
            before = self._parts.get(name)
            changed = before is None or before[1] != key
            fresh[name] = (html, key, number if before is None or changed else before[2])
            self._version = number if changed else self._version
        self._parts = fresh

    def _name(self) -> str:
        return f"{BOOT}-{self._version}"

    def _number(self, since: str) -> int | None:
        boot, _, number = since.partition("-")
        good = boot == BOOT and number.isascii() and number.isdigit() and len(number) < 16
        return int(number) if good and int(number) <= self._version else None


def _event(kind: str, version: str, parts: dict[str, Html]) -> str:
    return f"event: {kind}\nid: {version}\ndata: {json.dumps(parts, separators=(',', ':'))}\n\n"
