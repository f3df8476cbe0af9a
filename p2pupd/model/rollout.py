"""How a release wants to reach a floor: in which order, how fast, and when it stops by itself."""

from dataclasses import dataclass
from typing import Final

WHOLE: Final = 1000
"""All devices, in permille."""


@dataclass(frozen=True, slots=True)
class Wave:
    """The devices whose place is below `permille`, but for those of earlier waves.

    `soak_minutes` pass between its success and the next wave.
    """

    permille: int
    soak_minutes: int = 0


EVERYBODY: Final = (Wave(WHOLE),)


@dataclass(frozen=True, slots=True)
class Rollout:
    """What the signer asks of every floor. Without any of it a release is installed at once.

    Devices of `canary_groups` come before all `waves`, which are sorted and end with everybody.
    `max_failures` permille of a wave's devices, or more, halt the release; None where there are
    neither waves nor canaries. `windows` are as `core.windows` reads them, in the device's local
    time; from `deadline` on (Unix seconds) they hold nothing back, and nobody may defer any more.
    `max_concurrent` devices of a site install at once; None for any number.
    """

    waves: tuple[Wave, ...] = EVERYBODY
    canary_groups: tuple[str, ...] = ()
    canary_soak_minutes: int = 0
    max_failures: int | None = None
    windows: tuple[str, ...] = ()
    deadline: int | None = None
    max_concurrent: int | None = None
