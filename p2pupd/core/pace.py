"""An even pace: when the next bytes may go, so that a rate is kept without bursts."""


class Pace:
    """`rate` is bytes per second, 0 without a limit; it may be changed at any time."""

    __slots__ = ("_free", "rate")

    def __init__(self, rate: int = 0) -> None:
        self.rate = rate
        self._free = 0.0

    def wait(self, amount: int, now: float) -> float:
        """Take room for `amount` bytes; seconds from `now` until they may go.

        `now` is any clock in seconds that never goes back. Room that nobody took is lost.
        """
        start = max(self._free, now)
        if self.rate:
            self._free = start + amount / self.rate
        return start - now if self.rate else 0.0
