"""Whether a device that is handed pieces by a seed leaves the seeds alone in BitTorrent.

Pure: bytes and times (seconds on any clock that does not go back) are passed in.
"""

from dataclasses import dataclass
from typing import Final

STARVED_AFTER: Final = 1.5
"""Seconds without a new byte, when everything was handed out, after which the seeds are needed."""
LONGEST: Final = 10.0
"""Seconds that others have for the rest, when everything was handed out, or half of the time that
this took: who trickles, or is slow, must not keep a device away from a seed that has nothing to do.
"""


@dataclass(slots=True)
class Parting:
    """`open`: it may be handed pieces. `apart`: it asks the seeds for nothing else meanwhile.

    `over`: a seed has handed everything out, and the rest comes from other devices, until the time
    `until`. One that needed the seeds again stays with them. `begun` is when it left them.
    """

    open: bool = True
    apart: bool = False
    over: bool = False
    done: int = 0
    since: float = 0.0
    begun: float = 0.0
    until: float = 0.0

    def begin(self, now: float) -> None:
        """A seed is asked to hand out pieces."""
        if self.open and not self.apart:
            self.apart, self.begun = True, now

    def ebb(self, now: float) -> None:
        """One seed has nothing left to hand out to it."""
        if not self.over:
            self.over, self.since = True, now
            self.until = now + max(LONGEST, (now - self.begun) / 2)

    def end(self) -> None:
        """No seed has."""
        self.open = False

    def give_up(self) -> None:
        """No seed hands out: it asks them for pieces as it asks everybody."""
        self.open = self.apart = False

    def rest(self, now: float) -> None:
        """Nothing may come just now: the patience begins anew."""
        self.since, self.until = now, max(self.until, now + LONGEST)

    def progress(self, done: int, now: float) -> None:
        """It has so many bytes `now`. Ends the parting when nothing has come for too long, or the
        rest takes too long."""
        if done != self.done:
            self.done, self.since = done, now
        late = now - self.since >= STARVED_AFTER or now >= self.until
        if self.over and self.apart and late:
            self.give_up()
