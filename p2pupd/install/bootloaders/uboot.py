"""U-Boot's environment, by fw_printenv and fw_setenv.

Variables as RAUC names them, so that its tools read the same: BOOT_ORDER, BOOT_A_LEFT, BOOT_B_LEFT
(boots left, which U-Boot counts in hexadecimal). `p2pupd_armed` is ours: the slot on trial, the
only one whose boots the script in docs/bootloaders.md counts. All changes go in one script to one
fw_setenv call, which writes the inactive copy of a redundant environment and then switches.
"""

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

KEPT: Final = 3
"""Boots left of a slot that may boot. Nobody counts them down; zero means: never."""


class UbootDialect:
    def facts(self, variables: Variables, booted: str) -> BootFacts:
        slots = order(variables, "BOOT_ORDER")
        armed = armed_slot(variables)
        if armed is None:
            may_boot = (slot for slot in slots if number(variables, _left(slot), KEPT) > 0)
            return BootFacts(booted, next(may_boot, SlotName.A), None)
        return BootFacts(booted, other(armed), armed, number(variables, _left(armed), KEPT))

    def armed(self, slot: str, tries: int) -> Variables:
        return {
            "BOOT_ORDER": joined(slot),
            _left(slot): str(tries),
            _left(other(slot)): str(KEPT),
            ARMED: slot,
        }

    def committed(self, slot: str) -> Variables:
        return {"BOOT_ORDER": joined(slot), _left(slot): str(KEPT), ARMED: ""}

    def kept(self, slot: str) -> Variables:
        return {**self.committed(slot), _left(other(slot)): "0"}


def _left(slot: str) -> str:
    return f"BOOT_{slot}_LEFT"


class UbootStorage:
    """`config` is the fw_env.config that tells both tools where the environment is."""

    def __init__(self, config: Path, printenv: str, setenv: str, timeout: float) -> None:
        self._config = config
        self._printenv = printenv
        self._setenv = setenv
        self._timeout = timeout

    async def load(self) -> Variables:
        listed = await self._run(self._printenv)
        return dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)

    async def save(self, changes: Variables) -> None:
        try:
            with tempfile.NamedTemporaryFile("w", prefix="p2pupd-uboot-") as script:
                script.writelines(f"{name}={value}\n" for name, value in changes.items())
                script.flush()
                await self._run(self._setenv, "-s", script.name)
        except OSError as error:
            raise BootControlError(f"cannot write a script for fw_setenv: {error}") from error

    async def _run(self, tool: str, *arguments: str) -> str:
        command = (tool, "-c", str(self._config), *arguments)
        try:
            ended = await processes.run(command, timeout=self._timeout)
        except HostError as error:
            raise BootControlError(
                f"{error.message}; install U-Boot's tools, or set install.fw_printenv and "
                "install.fw_setenv"
            ) from error
        if ended.code != 0:
            raise BootControlError(
                f"{ended.summary}. Check that {self._config} names the environment's place and "
                "size; if the environment is damaged, run `env default -a; saveenv` in U-Boot"
            )
        return ended.output
