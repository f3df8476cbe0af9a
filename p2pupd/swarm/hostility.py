"""Judging peers by what they do: who is blocked, and when a transfer must start over.

Pure: the time, in seconds of a monotonic clock, is passed in.
"""

from collections import Counter
from collections.abc import Sequence
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
    """Tells when a transfer has stood still for too long, and whom to try next.

    `evidence` counts wrong pieces and bans since the torrent was last added. With some, the next
    start is with one neighbour alone: then a wrong piece proves who sent it.

    `helpless`: starting over did not help either, or nobody could be called. It is so until bytes
    have come for as long as `patience`, without a break of that length.
    """

    patience: float
    now: float
    evidence: int = 0
    alone: bool = False
    helpless: bool = False
    _attempts: int = 0
    _done: int = 0
    _hurry: bool = False
    _moving: float | None = None
    _tried: Counter[str] = field(default_factory=Counter)
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.now

    def rest(self, now: float) -> None:
        """Nothing can arrive just now; the patience starts anew."""
        self._since = now

    def hurry(self) -> None:
        """The only neighbour that was tried is useless: no need to wait for longer."""
        self._hurry = True

    def stalled(self, done: int, now: float, neighbours: int) -> bool:
        """True when it is time to start over.

        The patience doubles each time that all `neighbours` were tried, until more bytes are
        `done`. Bytes that were there before and turned out wrong are no progress when they come
        again.
        """
        if done > self._done:
            self._done, self._since, self._attempts = done, now, 0
            self._moving = now if self._moving is None else self._moving
            self.helpless = self.helpless and now - self._moving < self.patience
        rounds = self._attempts // max(1, neighbours)
        allowed = min(LONGEST_PATIENCE, self.patience * 2.0**rounds)
        if now - self._since < allowed and not self._hurry:
            return False
        self._since, self._hurry, self._moving = now, False, None
        self._attempts += 1
        self.helpless = self.helpless or self._attempts > min(1, neighbours)
        self.alone = self.evidence > 0
        self.evidence = 0
        return True

    def choose(self, hosts: Sequence[str]) -> Sequence[str]:
        """Whom to call after a stall: all `hosts` (best first), or the least tried one alone."""
        if not self.alone or not hosts:
            return hosts
        chosen = min(hosts, key=lambda host: self._tried[host])
        self._tried[chosen] += 1
        return (chosen,)
