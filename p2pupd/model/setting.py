"""How a room declares a setting: once, with its default, its unit and its meaning.

Every room's `settings.py` is one frozen dataclass built of these. `config/` composes them, reads
TOML into them and generates docs/configuration.md from them.
"""

import re
from collections.abc import Callable
from dataclasses import MISSING, field
from pathlib import Path
from typing import Any, Final, NewType, TypeVar

Bytes = NewType("Bytes", int)
"""A size in bytes; in TOML an integer, or text such as "64M" (K, M, G, T are powers of 1024)."""

Seconds = NewType("Seconds", float)
"""A duration in seconds; in TOML a number, or text such as "90s", "15m", "2h", "30d"."""

DOC: Final = "doc"
CHECK: Final = "check"

T = TypeVar("T")
Check = Callable[[Any], str | None]
"""Given the value, returns what is wrong with it (a clause for people), or None."""


def setting(default: T, doc: str, *, check: Check | None = None) -> T:
    """A dataclass field with documentation. Mutable defaults are not allowed: use tuples."""
    return field(default=default, metadata={DOC: doc, CHECK: check})


def required(doc: str, *, check: Check | None = None) -> Any:
    """A dataclass field without a default: configuration fails when it is missing."""
    return field(default=MISSING, metadata={DOC: doc, CHECK: check})


def at_least(least: float) -> Check:
    """A check: the number is not below `least`."""
    return lambda value: None if value >= least else f"is below {least:g}"


def within(least: float, most: float) -> Check:
    """A check: the number is in this closed range."""
    return lambda value: None if least <= value <= most else f"is not within {least:g} to {most:g}"


def not_empty(value: object) -> str | None:
    """A check: there is something in it."""
    return None if value else "is empty"


def spelled(pattern: re.Pattern[str]) -> Check:
    """A check: the word, or each word of a list, is empty or matches `pattern`."""

    def check(value: str | tuple[str, ...]) -> str | None:
        words = (value,) if isinstance(value, str) else value
        wrong = [each for each in words if each and pattern.fullmatch(each) is None]
        return f"is {wrong[0]!r}, which does not match {pattern.pattern}" if wrong else None

    return check


NO_PATH: Final = Path()
"""The default of an optional path: unset."""
