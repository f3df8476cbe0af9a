"""How much of the line the uplink may use: its hours, its rate, its bytes in a month.

The month's bytes are kept durably, but not with every byte: after a crash at most SAVE_BYTES, or
what came in SAVE_SECONDS, is forgotten. Months are counted side by side, so that a clock that is
wrong for a while loses nothing.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from p2pupd.core.token_bucket import TokenBucket
from p2pupd.errors import SourceGone, UpdateError
from p2pupd.feeds.uplink_settings import DAY, UplinkSettings, window
from p2pupd.host.files import read_bounded, write_durably

log = logging.getLogger(__name__)

SAVE_BYTES: Final = 4 * 1024 * 1024
SAVE_SECONDS: Final = 30.0
MONTHS: Final = 4
"""Months that are remembered; the one that was counted in longest ago goes first."""
FILE_LIMIT: Final = 4096
LEAST_BURST: Final = 64 * 1024
"""Bytes: no chunk that is spent is larger."""
NAP: Final = 1.0
"""Seconds: a changed rate counts for whoever waits already after so long."""
LOOK_AGAIN: Final = 3600.0
"""Seconds: clocks are set, and summer time comes."""


class Allowance:
    """Ask `check` before a request, `spend` what came."""

    def __init__(
        self,
        settings: UplinkSettings,
        path: Path,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`path` keeps the months. `wall` gives Unix seconds; `clock` never goes back."""
        self._path = path
        self._wall = wall
        self._clock = clock
        self._months: dict[str, int] = {}
        self._unsaved = 0
        self._saved = clock()
        self._writing = asyncio.Lock()
        self.bytes_received = 0
        self.apply(settings)

    def apply(self, settings: UplinkSettings) -> None:
        """These limits from now on; what was counted stays."""
        self.rate, self.monthly, self.hours = settings.rate, settings.monthly, settings.hours
        self._windows = [window(text) for text in settings.hours]
        burst = max(self.rate, LEAST_BURST)
        self._bucket = TokenBucket(self.rate, burst, self._clock()) if self.rate else None

    def load(self) -> None:
        """What earlier runs counted. Blocks. An unreadable file counts as none."""
        try:
            months = json.loads(read_bounded(self._path, FILE_LIMIT)) if self._path.exists() else {}
            self._months = {str(month): int(count) for month, count in months.items()}
        except (UpdateError, ArithmeticError, ValueError, TypeError, AttributeError) as error:
            log.warning("uplink.months-lost path=%s error=%s", self._path, error)

    @property
    def month(self) -> str:
        """The calendar month of now, as `2026-11`."""
        return f"{self._now():%Y-%m}"

    @property
    def month_bytes(self) -> int:
        """Bytes that came in this month."""
        return self._months.get(self.month, 0)

    @property
    def hours_open(self) -> bool:
        """Whether it is one of the hours in which the line may be used."""
        minute = self._minute()
        return not self._windows or any(_within(minute, *each) for each in self._windows)

    def closed(self) -> str:
        """Why nothing may be fetched now; empty where it may."""
        if not self.hours_open:
            return f"outside of its hours: {', '.join(self.hours)}"
        if self.monthly and self.month_bytes >= self.monthly:
            return f"its {self.monthly} bytes of {self.month} are used up"
        return ""

    def check(self) -> None:
        """Raises SourceGone while nothing may be fetched."""
        why = self.closed()
        if why:
            raise SourceGone(f"the uplink is closed: {why}", reason="uplink-closed")

    def next_change(self) -> float | None:
        """Seconds after which `closed` may say something else by itself; None: it will not."""
        edges = {each for bounds in self._windows for each in bounds}
        edges |= {DAY} if self.monthly else set()
        if not edges:
            return None
        now = self._now()
        minute, seconds = self._minute(), now.second + now.microsecond / 1e6
        left = min(((edge - minute - 1) % DAY + 1) * 60 - seconds for edge in edges)
        return min(left, LOOK_AGAIN)

    def time_for(self, count: int) -> float:
        """Seconds that the rate alone makes `count` bytes take."""
        return count / self.rate if self.rate else 0.0

    async def spend(self, count: int) -> None:
        """`count` bytes came, LEAST_BURST at most: count them, and wait as the rate wants."""
        self.bytes_received += count
        month = self.month
        self._months[month] = self._months.pop(month, 0) + count
        self._unsaved += count
        if self._unsaved >= SAVE_BYTES or self._clock() - self._saved >= SAVE_SECONDS:
            await self.save()
        while self._bucket:
            now = self._clock()
            if self._bucket.take(now, count):
                break
            await asyncio.sleep(min(self._bucket.wait(now, count), NAP))

    async def save(self) -> None:
        """Make the count durable. A disk that refuses is only told of in the log."""
        async with self._writing:
            if not self._unsaved:
                return
            self._unsaved, self._saved = 0, self._clock()
            kept = dict(list(self._months.items())[-MONTHS:])
            try:
                await asyncio.to_thread(write_durably, self._path, json.dumps(kept).encode())
            except UpdateError as error:
                log.warning("uplink.not-saved path=%s error=%s", self._path, error)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC).astimezone()

    def _minute(self) -> int:
        now = self._now()
        return now.hour * 60 + now.minute


def _within(minute: int, start: int, end: int) -> bool:
    """Whether it is in a window, which may reach over midnight."""
    return start <= minute < end if start < end else minute >= start or minute < end
