"""While a stick is in, what the floor says is written to it: so the office learns of it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from p2pupd.engine.logs import Logs
from p2pupd.errors import ProtocolError, UpdateError
from p2pupd.feeds.interface import Offer
from p2pupd.model.fleet import Standing, View
from p2pupd.wire.results import Results, encode, fitting
from p2pupd.wire.sync import OLDEST, Item

log = logging.getLogger(__name__)

KINDS: Final = ("usb", "directory")
AGAIN: Final = 5.0
"""Seconds between two writes; a stick wears too."""
LOGS_AGAIN: Final = 30.0
"""Seconds after which the neighbours are asked for their lines of history again."""

Write = Callable[[Path, bytes], None]
"""Puts results onto the stick at a path; blocks. Raises UpdateError."""


class TakingHome:
    """One file on each stick, written when it comes and after news."""

    def __init__(
        self,
        write: Write,
        view: Callable[[], View],
        logs: Logs,
        *,
        now: Callable[[], float],
        wanted: bool,
    ) -> None:
        """`wanted`: whether anything is written at all."""
        self._write = write
        self._view = view
        self.logs = logs
        self._lines: tuple[bytes, ...] = ()
        self._gathered: float | None = None
        self._behind = False
        self._now = now
        self._wanted = wanted
        self._sticks: dict[str, Path] = {}
        self._refused: set[str] = set()
        self._news = asyncio.Event()

    def offered(self, offer: Offer) -> None:
        """A source has a repository; only a stick is written to."""
        kind, _, path = offer.source.partition(":")
        if self._wanted and kind in KINDS and offer.source not in self._sticks:
            self._sticks[offer.source] = Path(path)
            self._gathered = None
            self._news.set()

    def gone(self, source: str) -> None:
        """It was pulled."""
        self._sticks.pop(source, None)
        self._refused.discard(source)

    def news(self) -> None:
        """The floor says something new."""
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._due()
            self._news.clear()
            await self._take_all()
            if self._writable() and await self._bring_logs():
                await self._take_all()
            await asyncio.sleep(AGAIN if self._sticks else 0)

    async def _due(self) -> None:
        """Until there is news, or it is time for the lines of what was news before."""
        last = self._gathered
        until = (
            last + LOGS_AGAIN if last is not None and self._behind and self._writable() else None
        )
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._news.wait()

    def _writable(self) -> list[tuple[str, Path]]:
        return [each for each in self._sticks.items() if each[0] not in self._refused]

    async def _take_all(self) -> None:
        for source, path in self._writable():
            await self._take(source, path)

    async def _bring_logs(self) -> bool:
        """Whether there are lines anew, which may take a while: records are written before that.
        The lines of before stay where this device's own cannot be read just now."""
        now = asyncio.get_running_loop().time()
        self._behind = self._gathered is not None and now - self._gathered < LOGS_AGAIN
        if self._behind:
            return False
        self._gathered = now
        try:
            self._lines = tuple(await self.logs.gathered())
        except UpdateError as error:
            log.warning("results.no-logs reason=%s error=%s", error.reason, error)
            return False
        return True

    async def _take(self, source: str, path: Path) -> None:
        """A stick that cannot be written is left alone until it is put in again."""
        try:
            await asyncio.to_thread(self._write, path, encode(self._results()))
        except ProtocolError as error:
            log.warning("results.too-many source=%s error=%s", source, error)
        except UpdateError as error:
            self._refused.add(source)
            log.info(
                "results.not-written source=%s reason=%s error=%s", source, error.reason, error
            )
        else:
            devices, logs = len(self._view().entries), len(self._lines)
            log.info("results.written source=%s devices=%d logs=%d", source, devices, logs)

    def _results(self) -> Results:
        """Where not all fits: of this device, its neighbours, and who has long been known."""
        now = self._now()
        entries = sorted(
            self._view().entries.values(),
            key=lambda each: (each.standing is not Standing.OWN, not each.direct, each.first),
        )
        items = (Item(each.raw, min(OLDEST, max(0, int(now - each.heard)))) for each in entries)
        return Results(max(0, int(now)), fitting(items, self._lines), self._lines)
