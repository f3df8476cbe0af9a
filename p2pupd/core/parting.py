"""Whether a device that shares the pieces out with others still needs the seeds.

Pure: bytes and times (seconds on any clock that does not go back) are passed in.
"""

from dataclasses import dataclass
from typing import Final

STARVED_AFTER: Final = 1.5
"""Seconds without a new byte after which the seeds are needed again."""


@dataclass(slots=True)
class Parting:
    """`open`: it may leave them. `apart`: it has. One that needed them again stays with them."""

    open: bool = True
    apart: bool = False
    done: int = 0
    since: float = 0.0

    def leave(self, now: float) -> None:
        """Its share is here: it asks the seeds no more, from `now` on."""
        self.open, self.apart, self.since = False, True, now

    def progress(self, done: int, now: float) -> None:
        """It has so many bytes `now`. Ends the parting when nothing has come for too long."""
        if done != self.done:
            self.done, self.since = done, now
        elif self.apart and now - self.since >= STARVED_AFTER:
            self.apart = False
