"""How long to wait before the next try."""

from typing import Final

FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 300.0


def delay(attempt: int, chance: float) -> float:
    """Seconds before try number `attempt` (0: at once): doubling, bounded, spread by `chance`.

    `chance` is a number in [0, 1) that the caller draws; it takes away up to a quarter.
    """
    if attempt <= 0:
        return 0.0
    doubled = FIRST_DELAY * 2.0 ** min(attempt - 1, 30)
    return min(doubled, LONGEST_DELAY) * (1 - chance / 4)
