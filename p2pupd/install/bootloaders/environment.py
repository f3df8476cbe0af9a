"""Boot control by variables in a bootloader's environment.

Two parts make an adaptor: a dialect (pure: which variables mean what) and a storage (the
bootloader's own tool). What they share is here: change only what differs, in one step, and look
that it holds.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from p2pupd.errors import BootControlError
from p2pupd.install.pair import PAIR, SlotName, named, other
from p2pupd.model.device import BootFacts

Variables = Mapping[str, str]

ARMED: Final = "p2pupd_armed"
"""The slot on trial, or empty. Ours in every dialect: it tells a trial from a kept slot."""


class Dialect(Protocol):
    """Variables to facts, and wishes to variables. An unset variable reads as empty."""

    def facts(self, variables: Variables, booted: str) -> BootFacts:
        """What they mean. Raises BootControlError for what no bootloader script would write."""

    def armed(self, slot: str, tries: int) -> Variables:
        """To set for a trial of `slot`."""

    def committed(self, slot: str) -> Variables:
        """To set when `slot` has proved itself."""

    def kept(self, slot: str) -> Variables:
        """To set so that only `slot` boots."""


class Storage(Protocol):
    """The environment block and its tool. Both methods raise BootControlError."""

    async def load(self) -> Variables:
        """Every variable."""

    async def save(self, changes: Variables) -> None:
        """Set these in one step, durably: all of them or, after a power cut, none."""


class EnvironmentBootControl:
    """`booted` tells the running slot; it is asked in every read."""

    def __init__(self, dialect: Dialect, storage: Storage, booted: Callable[[], str]) -> None:
        self._dialect = dialect
        self._storage = storage
        self._booted = booted

    async def read(self) -> BootFacts:
        return self._dialect.facts(await self._storage.load(), self._booted())

    async def arm(self, slot: str, tries: int = 1) -> None:
        refuse_primary(slot, self._dialect.facts(await self._storage.load(), slot).primary)
        await self._set(self._dialect.armed(slot, tries))

    async def commit(self, slot: str) -> None:
        await self._set(self._dialect.committed(slot))

    async def disarm(self, keep: str) -> None:
        await self._set(self._dialect.kept(keep))

    async def _set(self, wanted: Variables) -> None:
        """Nothing is written when all is so already: environments live on flash that wears."""
        if not _differing(await self._storage.load(), wanted):
            return
        await self._storage.save(wanted)
        lost = _differing(await self._storage.load(), wanted)
        if lost:
            raise BootControlError(
                f"the boot environment did not keep {', '.join(lost)}: "
                "is it write-protected, or changed by something else?"
            )


def _differing(variables: Variables, wanted: Variables) -> list[str]:
    return [name for name, value in wanted.items() if variables.get(name, "") != value]


def refuse_primary(slot: str, primary: str) -> None:
    """Raises BootControlError for a trial of the primary: there would be nothing to return to."""
    if slot == primary:
        raise BootControlError(f"slot {slot} boots anyway; only the other slot can be tried")


def order(variables: Variables, name: str) -> tuple[SlotName, SlotName]:
    """The slots in the order that variable `name` gives; `A B` where it is unset."""
    words = variables.get(name, "").split() or list(PAIR)
    if sorted(words) != sorted(PAIR):
        raise BootControlError(
            f"the boot environment has {name}={' '.join(words)!r}: set it to 'A B' or 'B A', "
            "the running slot first"
        )
    first = SlotName(words[0])
    return first, other(first)


def armed_slot(variables: Variables) -> SlotName | None:
    """The slot on trial, if any."""
    text = variables.get(ARMED, "")
    if text and named(text) is None:
        raise BootControlError(
            f"the boot environment has {ARMED}={text!r}: set it to A, B, or nothing"
        )
    return named(text)


def joined(first: str) -> str:
    """Both slots, `first` before the other."""
    return f"{first} {other(first)}"


def number(variables: Variables, name: str, unset: int) -> int:
    """A small count; `unset` where the variable is not there."""
    text = variables.get(name, "")
    if not text:
        return unset
    try:
        return int(text, 16)
    except ValueError:
        raise BootControlError(
            f"the boot environment has {name}={text!r}: it must be a number"
        ) from None
