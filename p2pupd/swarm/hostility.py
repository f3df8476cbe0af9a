"""Judging peers by what they do: who is blocked, and when a transfer must start over.

Pure: the time, in seconds of a monotonic clock, is passed in.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

MINUTE: Final = 60.0
LONGEST_PATIENCE: Final = 600.0


@dataclass(slots=True)
class Blocklist:
    """Addresses that we neither call nor answer. `limit`: unwanted blocks per minute."""

    limit: int
    block_for: float
    _until: dict[str, float] = field(default_factory=dict)
    _unwanted: Counter[str] = field(default_factory=Counter)
    _minute: float = float("-inf")

    def unwanted(self, host: str, now: float) -> bool:
        """Count a block that nobody asked `host` for; true when that just blocked it."""
        if now - self._minute >= MINUTE:
            self._minute = now
            self._unwanted.clear()
        self._unwanted[host] += 1
        return self._unwanted[host] > self.limit and self.block(host, now)

    def block(self, host: str, now: float) -> bool:
        """Block it; false when it already was."""
        new = host not in self._until
        self._until[host] = now + self.block_for
        return new

    def expire(self, now: float) -> bool:
        """Forget what is over; true when there was something."""
        over = [host for host, until in self._until.items() if until <= now]
        for host in over:
            del self._until[host]
        return bool(over)

    @property
    def blocked(self) -> frozenset[str]:
        return frozenset(self._until)


@dataclass(slots=True)
class StallWatch:
    """Tells when a transfer has stood still for too long.

    `evidence` counts wrong pieces and bans since the torrent was last added. With some, the next
    start is with one neighbour alone: then a wrong piece proves who sent it.
    """

    patience: float
    now: float
    evidence: int = 0
    alone: bool = False
    attempts: int = 0
    _done: int = 0
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.now

    def rest(self, now: float) -> None:
        """Nothing can arrive just now; the patience starts anew."""
        self._since = now

    def stalled(self, done: int, now: float) -> bool:
        """True when it is time to start over; the patience doubles until more bytes are `done`.

        Bytes that were there before and turned out wrong are no progress when they come again.
        """
        if done > self._done:
            self._done, self._since, self.attempts = done, now, 0
            return False
        allowed = min(LONGEST_PATIENCE, self.patience * 2.0**self.attempts)
        if now - self._since < allowed:
            return False
        self._since = now
        self.attempts += 1
        self.alone = self.evidence > 0
        self.evidence = 0
        return True
