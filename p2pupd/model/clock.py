"""A reading of the wall clock, with what it is worth."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WallClock:
    """`now` in Unix seconds; `trusted`: set by a time source, or declared trusted."""

    now: float
    trusted: bool
