"""Notices that the wall clock was set, beside a count of seconds that only runs on."""

from typing import Final

JUMP: Final = 60.0
"""Seconds by which a clock that was set differs at least from one that ran on."""


class Jumps:
    """Both are given in seconds: `now` by the wall clock, `passed` whatever that is set to."""

    def __init__(self, now: float, passed: float) -> None:
        self._offset = now - passed

    def seen(self, now: float, passed: float) -> float:
        """By how much the clock was set since it was looked at last; 0.0 where it ran on."""
        jumped = now - passed - self._offset
        if abs(jumped) <= JUMP:
            return 0.0
        self._offset += jumped
        return jumped
