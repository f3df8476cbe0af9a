"""GRUB's environment block, edited by grub-editenv.

Variables as RAUC names them, so that its tools read the same: ORDER, A_OK, A_TRY, B_OK, B_TRY. Two
are ours: `p2pupd_armed`, the slot on trial, and `p2pupd_tries`, its boots still allowed (GRUB's
script language cannot count, it compares 3, 2, 1). The script in docs/bootloaders.md takes the
first slot of ORDER that is OK and not tried; only the armed slot is ever marked as tried, by GRUB,
with the last of its boots.
"""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from p2pupd.errors import BootControlError, HostError
from p2pupd.host import processes
from p2pupd.install.bootloaders.environment import (
    ARMED,
    Variables,
    armed_slot,
    joined,
    number,
    order,
)
from p2pupd.install.pair import SlotName, other
from p2pupd.model.device import BootFacts

TRIES: Final = "p2pupd_tries"
MOST_TRIES: Final = 3
BLOCK_SIZE: Final = 1024


class GrubDialect:
    def facts(self, variables: Variables, booted: str) -> BootFacts:
        slots = order(variables, "ORDER")
        armed = armed_slot(variables)
        if armed is None:
            good = (slot for slot in slots if _ok(variables, slot))
            return BootFacts(booted, next(good, SlotName.A), None)
        used = number(variables, f"{armed}_TRY", 0) > 0
        left = 0 if used else number(variables, TRIES, 1)
        return BootFacts(booted, other(armed), armed, left)

    def armed(self, slot: str, tries: int) -> Variables:
        if not 1 <= tries <= MOST_TRIES:
            raise BootControlError(f"GRUB can be asked for 1 to {MOST_TRIES} tries, not {tries}")
        return {
            "ORDER": joined(slot),
            f"{slot}_OK": "1",
            f"{slot}_TRY": "0",
            f"{other(slot)}_OK": "1",
            f"{other(slot)}_TRY": "0",
            ARMED: slot,
            TRIES: str(tries),
        }

    def committed(self, slot: str) -> Variables:
        return {"ORDER": joined(slot), f"{slot}_OK": "1", f"{slot}_TRY": "0", ARMED: "", TRIES: ""}

    def kept(self, slot: str) -> Variables:
        return {
            **self.committed(slot),
            f"{other(slot)}_OK": "0",
            f"{other(slot)}_TRY": "0",
        }


def _ok(variables: Variables, slot: str) -> bool:
    return number(variables, f"{slot}_OK", 1) > 0 and number(variables, f"{slot}_TRY", 0) == 0


class GrubStorage:
    """The tool edits a copy, whose 1024 bytes then replace the block in place by one write.

    In place, because GRUB itself writes the file's known sectors, and does not replay a journal;
    by one write, because the tool would first truncate the file.
    """

    def __init__(self, block: Path, tool: str, timeout: float) -> None:
        self._block = block
        self._tool = tool
        self._timeout = timeout

    async def load(self) -> Variables:
        self._check()
        listed = await self._edit(self._block, "list")
        return dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)

    async def save(self, changes: Variables) -> None:
        self._check()
        with tempfile.TemporaryDirectory(prefix="p2pupd-grubenv-") as directory:
            copy = Path(directory) / "grubenv"
            try:
                await asyncio.to_thread(shutil.copyfile, self._block, copy)
                await self._edit(copy, "set", *(f"{k}={v}" for k, v in changes.items()))
                await asyncio.to_thread(_replace_in_place, self._block, copy.read_bytes())
            except OSError as error:
                raise BootControlError(
                    f"cannot write {self._block}: {error.strerror}; is it mounted read-only?"
                ) from error

    def _check(self) -> None:
        """The tool would quietly make a missing file, which GRUB then does not read."""
        if not self._block.is_file():
            raise BootControlError(
                f"there is no GRUB environment block {self._block}: set install.grubenv to the one "
                f"that GRUB loads, or make it with `{self._tool} {self._block} create`"
            )

    async def _edit(self, block: Path, *arguments: str) -> str:
        try:
            ended = await processes.run((self._tool, str(block), *arguments), timeout=self._timeout)
        except HostError as error:
            raise BootControlError(
                f"{error.message}; install GRUB's tools, or set install.grub_editenv"
            ) from error
        if ended.code != 0:
            raise BootControlError(
                f"{ended.summary}. If {self._block} is damaged, make it anew with "
                f"`{self._tool} {self._block} create` and set ORDER with the running slot first"
            )
        return ended.output


def _replace_in_place(block: Path, content: bytes) -> None:
    if len(content) != BLOCK_SIZE or block.stat().st_size != BLOCK_SIZE:
        raise BootControlError(f"{block} is not an environment block of {BLOCK_SIZE} bytes")
    fd = os.open(block, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(fd, content, 0)
        os.fsync(fd)
    finally:
        os.close(fd)
