"""The contracts of an installer and of a bootloader adaptor (after Mender's update modules)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from p2pupd.model.device import BootFacts
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Release

WriteProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class OldImage:
    """A file or block device whose first `length` bytes (None: all) may be those of an image, which
    once had the SHA-256 `sha256`, where that is known."""

    path: Path
    length: int | None = None
    sha256: Sha256 | None = None


class BootControl(Protocol):
    """Which slot boots. Every method is idempotent and durable on return.

    All raise BootControlError when the environment cannot be read or written, saying which file
    or tool and what it printed.
    """

    async def read(self) -> BootFacts:
        """What runs, what boots next."""

    async def arm(self, slot: str, tries: int = 1) -> None:
        """Boot `slot` at most `tries` times, then the primary again unless committed."""

    async def commit(self, slot: str) -> None:
        """`slot` is the primary from now on, nothing is armed."""

    async def disarm(self, keep: str) -> None:
        """`keep` is the primary, nothing is armed, the other slot does not boot by itself."""


class Installer(Protocol):
    """Write, arm, commit, roll back. The running slot is never written."""

    async def boot_facts(self) -> BootFacts:
        """What the boot environment says now."""

    async def spare_capacity(self) -> tuple[int | None, int | None]:
        """(bytes the spare slot holds, or None if it is a file that grows; bytes free under it)."""

    async def running_image(self) -> OldImage:
        """What runs, to be read only. It may have changed since it was installed, and may change
        while it is read."""

    async def write(self, release: Release, content: Path, progress: WriteProgress) -> str:
        """Disarm, unpack the image into the spare slot, read its SHA-256 back; the slot's name.

        Raises PackError before the slot is touched where the carried file is a pack whose header is
        not in order, or not of the signed image. Raises PackError (a chunk is damaged),
        InstallError (read-back differs, device too small) or SpaceError later; the spare slot is
        then marked as holding nothing.
        """

    async def arm(self, slot: str) -> None:
        """One trial boot of `slot`. Raises InstallError if it does not hold a complete image."""

    async def commit(self, slot: str) -> None:
        """Keep `slot`."""

    async def roll_back(self, to_slot: str) -> None:
        """Boot `to_slot` from now on."""
