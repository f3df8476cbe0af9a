"""What time it is, and whether that may be believed (the trust floor does not depend on it)."""

import ctypes
import os
import time
from collections.abc import Callable
from typing import Final

from p2pupd.core.windows import LocalTime
from p2pupd.host.settings import ClockSettings, ClockTrust
from p2pupd.model.clock import WallClock

_ERROR_STATE: Final = 5
_UNSYNCHRONISED: Final = 0x0040
_TIMEX_BYTES: Final = 512
_TIMEX_WORDS_BEFORE_STATUS: Final = 4


def kernel_synchronised() -> bool:
    """Whether a time service keeps the kernel's clock right: adjtimex(2), asking only.

    It does not tell an authenticated time service (NTS) from a plain one.
    """
    # struct timex: modes (padded to a long), offset, freq, maxerror, esterror, status, ...
    # The buffer is larger than the structure of any Linux, and modes = 0 changes nothing.
    buffer = (ctypes.c_long * (_TIMEX_BYTES // ctypes.sizeof(ctypes.c_long)))()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(buffer))
    status = ctypes.c_int.from_buffer(
        buffer, (1 + _TIMEX_WORDS_BEFORE_STATUS) * ctypes.sizeof(ctypes.c_long)
    ).value
    return state not in (-1, _ERROR_STATE) and not status & _UNSYNCHRONISED


class Clock:
    """The wall clock with its trustworthiness, as the settings define that."""

    def __init__(
        self,
        settings: ClockSettings,
        now: Callable[[], float] = time.time,
        synchronised: Callable[[], bool] = kernel_synchronised,
    ) -> None:
        self._settings = settings
        self._now = now
        self._synchronised = synchronised

    def read(self) -> WallClock:
        """The time now, in Unix seconds, and whether expiry may be judged by it."""
        return WallClock(self._now(), self._trusted())

    def _trusted(self) -> bool:
        if self._settings.trust is ClockTrust.ALWAYS:
            return True
        if self._settings.trust is ClockTrust.SYNCHRONISED and self._synchronised():
            return True
        return os.path.exists(self._settings.word_file)


def seconds_passed() -> float:
    """Counts on whatever the clock is set to, also while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def local_time(now: float) -> LocalTime:
    """What a clock on the wall shows at `now` (Unix seconds), in the daemon's time zone."""
    shown = time.localtime(now)
    return LocalTime(shown.tm_wday, shown.tm_hour * 60 + shown.tm_min)
