"""Whether a device that is handed pieces by a seed leaves the seeds alone in BitTorrent.

Pure: bytes and times (seconds on any clock that does not go back) are passed in.
"""

from dataclasses import dataclass
from typing import Final

STARVED_AFTER: Final = 1.5
"""Seconds without a new byte, when everything was handed out, after which the seeds are needed."""


@dataclass(slots=True)
class Parting:
    """`open`: it may be handed pieces. `apart`: it asks the seeds for nothing else meanwhile.

    `over`: the seeds have handed everything out, and the rest comes from other devices. One that
    needed the seeds again stays with them.
    """

    open: bool = True
    apart: bool = False
    over: bool = False
    done: int = 0
    since: float = 0.0

    def begin(self) -> None:
        """A seed is asked to hand out pieces."""
        self.apart = self.open

    def end(self, now: float) -> None:
        """Nothing is left to be handed out to it."""
        self.open, self.over, self.since = False, True, now

    def give_up(self) -> None:
        """No seed hands out: it asks them for pieces as it asks everybody."""
        self.open = self.apart = False

    def progress(self, done: int, now: float) -> None:
        """It has so many bytes `now`. Ends the parting when nothing has come for too long."""
        if done != self.done:
            self.done, self.since = done, now
        elif self.over and self.apart and now - self.since >= STARVED_AFTER:
            self.give_up()
