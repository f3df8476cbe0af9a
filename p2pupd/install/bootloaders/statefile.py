"""A plain file as the boot environment, for containers, demonstrations and embedded init scripts.

The daemon's side is StateFileBootControl. The bootloader's side is this module as a program,
`python -m p2pupd.install.bootloaders.statefile FILE [SLOT]`: one power-on. It chooses the slot,
writes down what it did, and prints the slot's name.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from p2pupd.errors import BootControlError, HostError, SpaceError, UsageError
from p2pupd.host.files import read_bounded, write_durably
from p2pupd.install.bootloaders.environment import refuse_primary
from p2pupd.install.pair import SlotName, named
from p2pupd.model.device import BootFacts

STATE_LIMIT: Final = 4096


@dataclass(frozen=True, slots=True)
class BootState:
    """The file, as JSON with these keys. `boots` counts power-ons."""

    primary: str
    booted: str
    armed: str | None = None
    tries_left: int = 0
    boots: int = 0


def load(path: Path, initial: str) -> BootState:
    """The state; made with `initial` as the running slot where the file is missing.

    Raises BootControlError.
    """
    try:
        if not path.exists():
            return save(path, BootState(primary=initial, booted=initial))
        raw = read_bounded(path, STATE_LIMIT)
    except HostError as error:
        raise BootControlError(error.message) from error
    try:
        return _checked(BootState(**json.loads(raw)))
    except (ValueError, TypeError) as error:
        raise BootControlError(
            f"the boot state {path} is damaged ({error}): write "
            f'{{"primary": "A", "booted": "A"}} into it, with the slot that runs'
        ) from error


def save(path: Path, state: BootState) -> BootState:
    """Write the state durably; what was there stays when that fails (BootControlError)."""
    try:
        write_durably(path, json.dumps(asdict(state), indent=1).encode() + b"\n")
    except (HostError, SpaceError) as error:
        raise BootControlError(error.message) from error
    return state


def power_on(path: Path, initial: str = SlotName.A) -> BootState:
    """What a bootloader does: use up a try of the armed slot, or boot the primary.

    A used-up trial stays in the file, so that the daemon sees that it failed.
    """
    state = load(path, initial)
    if state.armed is not None and state.tries_left > 0:
        state = replace(state, booted=state.armed, tries_left=state.tries_left - 1)
    else:
        state = replace(state, booted=state.primary)
    return save(path, replace(state, boots=state.boots + 1))


class StateFileBootControl:
    def __init__(self, path: Path, initial: str = SlotName.A) -> None:
        self._path = path
        self._initial = initial

    async def read(self) -> BootFacts:
        state = await asyncio.to_thread(load, self._path, self._initial)
        return BootFacts(state.booted, state.primary, state.armed, state.tries_left)

    async def arm(self, slot: str, tries: int = 1) -> None:
        refuse_primary(slot, (await self.read()).primary)
        await self._change(armed=slot, tries_left=tries)

    async def commit(self, slot: str) -> None:
        await self._change(primary=slot, armed=None, tries_left=0)

    async def disarm(self, keep: str) -> None:
        await self._change(primary=keep, armed=None, tries_left=0)

    async def _change(self, **changes: Any) -> None:
        await asyncio.to_thread(self._change_now, changes)

    def _change_now(self, changes: dict[str, Any]) -> None:
        before = load(self._path, self._initial)
        after = replace(before, **changes)
        if after != before:
            save(self._path, after)


def _checked(state: BootState) -> BootState:
    """The same state; raises ValueError where a value makes no sense."""
    names: list[object] = [state.primary, state.booted]
    for name in names + ([] if state.armed is None else [state.armed]):
        if not isinstance(name, str) or named(name) is None:
            raise ValueError(f"{name!r} is no slot")
    for count in (state.tries_left, state.boots):
        if type(count) is not int or count < 0:
            raise ValueError(f"{count!r} is no count")
    return state


def main(arguments: Sequence[str]) -> int:
    """One power-on; prints the slot. Arguments: the file, and the slot where it is missing."""
    path, initial = [*arguments, SlotName.A][:2] if arguments else ("", "")
    if len(arguments) > 2 or named(initial) is None:
        print("usage: python -m p2pupd.install.bootloaders.statefile FILE [A|B]", file=sys.stderr)
        return UsageError.code
    try:
        print(power_on(Path(path), initial).booted)
    except BootControlError as error:
        print(f"p2pupd: {error.message}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
