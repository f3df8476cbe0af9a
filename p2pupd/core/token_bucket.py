"""A token bucket: so many at once, so many in a second, no more."""


class TokenBucket:
    """Starts full. `now` is any clock in seconds that never goes back."""

    __slots__ = ("_burst", "_rate", "_since", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """`rate` tokens per second (> 0) flow in, up to `burst`."""
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._since = now

    def take(self, now: float, count: float = 1) -> bool:
        """Take `count` tokens; False, and nothing is taken, when there are fewer.

        More than the burst are never there.
        """
        self._fill(now)
        if self._tokens < count:
            return False
        self._tokens -= count
        return True

    def wait(self, now: float, count: float = 1) -> float:
        """Seconds until `count` tokens will be there; 0 when they are."""
        self._fill(now)
        return max(0.0, (count - self._tokens) / self._rate)

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._since) * self._rate)
        self._since = now
