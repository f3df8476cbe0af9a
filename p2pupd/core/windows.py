"""Windows of the week in which something may be done: `22:00-05:00`, `Mon-Fri 22:00-05:00`.

Local time comes in as `LocalTime`; what the daemon's time zone is, and when its clock jumps, is the
caller's affair: ask again.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EVERY_DAY: Final = frozenset(range(7))
DAY: Final = 24 * 60
WEEK: Final = 7 * DAY

_WINDOW: Final = re.compile(
    r"(?:([A-Za-z,\- ]+?) +)?(\d{1,2}):(\d{2}) *- *(\d{1,2}):(\d{2})", re.ASCII
)


class LocalTime(NamedTuple):
    """`weekday` 0 is Monday; `minute` counts from local midnight, 0 to 1439."""

    weekday: int
    minute: int

    def __str__(self) -> str:
        return f"{DAYS[self.weekday]} {self.minute // 60:02}:{self.minute % 60:02}"

    def later(self, minutes: int) -> "LocalTime":
        """The local time so many minutes from it, in a week without a change of the clocks."""
        return LocalTime(*divmod((self.weekday * DAY + self.minute + minutes) % WEEK, DAY))


@dataclass(frozen=True, slots=True)
class Window:
    """Opens on each of `days` at minute `start` and stays open for `length` minutes.

    It belongs to the day on which it opens: `Fri 22:00-05:00` ends on Saturday.
    """

    days: frozenset[int]
    start: int
    length: int

    def holds(self, at: LocalTime) -> bool:
        """Whether it is open; its last minute is the one before its end."""
        now = at.weekday * DAY + at.minute
        return any((now - day * DAY - self.start) % WEEK < self.length for day in self.days)


def parse_window(text: str) -> Window:
    """`[DAYS ]HH:MM-HH:MM`; DAYS is `Mon`, `Mon-Fri`, `Sat,Sun`, also `Fri-Mon` over the weekend.

    An end that is not after the start is on the next day; 24:00 is midnight at the end of a day.
    Raises ValueError, whose text is a clause such as "is no window of time ...".
    """
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"is no window of time: {text!r}; write 22:00-05:00 or Mon-Fri 22:00-05:00"
        )
    days, *digits = match.groups()
    first, first_minute, last, last_minute = (int(each) for each in digits)
    start, end = first * 60 + first_minute, last * 60 + last_minute
    if max(first_minute, last_minute) > 59 or start >= DAY or end > DAY:
        raise ValueError(f"has a time in {text!r} that no clock shows")
    if start == end:
        raise ValueError(f"is empty: {text!r}; a whole day is 00:00-24:00")
    chosen = EVERY_DAY if days is None else _days(days)
    return Window(chosen, start, (end - start) % DAY or DAY)


def _days(text: str) -> frozenset[int]:
    chosen: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = _day(first)
        end = _day(last) if dash else begin
        chosen.update((begin + each) % 7 for each in range((end - begin) % 7 + 1))
    return frozenset(chosen)


def _day(text: str) -> int:
    name = text.strip().title()
    if name not in DAYS:
        raise ValueError(f"names no day: {text.strip()!r}; write {', '.join(DAYS)}")
    return DAYS.index(name)


def window_mistake(texts: Iterable[str]) -> str | None:
    """What is wrong with a list of windows, as a clause for people; None where all can be read."""
    try:
        for each in texts:
            parse_window(each)
    except ValueError as error:
        return str(error)
    return None


def is_open(windows: Iterable[Window], at: LocalTime) -> bool:
    """Whether one of them is open; without any window it is always open."""
    asked = tuple(windows)
    return not asked or any(each.holds(at) for each in asked)


def next_change(windows: Iterable[Window], at: LocalTime) -> int | None:
    """Minutes, counted from the start of `at`'s minute, until `is_open` answers otherwise.

    At least 1; None where it never does.
    """
    asked = tuple(windows)
    now = at.weekday * DAY + at.minute
    opens = {(day * DAY + each.start) % WEEK for each in asked for day in each.days}
    ends = {(day * DAY + each.start + each.length) % WEEK for each in asked for day in each.days}
    before = is_open(asked, at)
    for wait in sorted((edge - now) % WEEK or WEEK for edge in opens | ends):
        if is_open(asked, at.later(wait)) is not before:
            return wait
    return None
