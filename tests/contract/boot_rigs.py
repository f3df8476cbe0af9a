"""Three bootloaders to test against: the real tools, and the scripts of docs/bootloaders.md.

A power-on runs the documented script. GRUB's and U-Boot's languages are close enough to a shell's
that their commands (set, load_env, save_env; setenv, setexpr, saveenv) become shell functions,
which read and write the environment by the real tool.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from p2pupd.install.bootloaders.select import boot_control
from p2pupd.install.interface import BootControl
from p2pupd.install.settings import BootloaderKind, InstallSettings

DOCUMENT = Path(__file__).parents[2] / "docs" / "bootloaders.md"
UBOOT_COPY = 0x4000

GRUB_SHELL = """
load_env() { eval "$("$TOOL" "$BLOCK" list | sed 's/=\\(.*\\)$/="\\1"/')"; }
save_env() {
  test -z "$SAVE_FAILS" || return 1
  changes=""
  for name in "$@"; do eval "changes=\\"$changes $name=\\$$name\\""; done
  "$TOOL" "$BLOCK" set $changes
}
"""
UBOOT_SHELL = """
setenv() { name=$1; shift; eval "$name=\\"\\$*\\""; }
setexpr() { eval "$1=$(printf %x $((0x$2 $3 0x$4)))"; }
saveenv() {
  test -z "$SAVE_FAILS" || return 1
  for name in BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT p2pupd_armed; do
    eval "echo \\"$name=\\$$name\\""
  done > "$CONFIG.script"
  fw_setenv -c "$CONFIG" -s "$CONFIG.script"
}
eval "$(fw_printenv -c "$CONFIG" | sed 's/=\\(.*\\)$/="\\1"/')"
"""

BUDGETED_TOOL = """#!/bin/sh
left=$(cat "{budget}")
test "$left" -gt 0 || {{ echo "the power is gone" >&2; exit 99; }}
echo $((left - 1)) > "{budget}"
exec {tool} "$@"
"""


def documented_script(language: str) -> str:
    """The first code block of that language in docs/bootloaders.md."""
    block = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    found = block.search(DOCUMENT.read_text())
    assert found is not None
    return found[1]


@dataclass
class BootRig:
    """One device: its boot environment, and what its bootloader does."""

    directory: Path
    settings: InstallSettings

    @property
    def control(self) -> BootControl:
        """A new adaptor, as after a restart of the daemon."""
        return boot_control(self.settings, self.directory)

    @property
    def environment(self) -> Path:
        """The file that holds the boot environment."""
        raise NotImplementedError

    def power_on(self, *, environment_is_read_only: bool = False) -> str:
        """Boot; the slot that starts."""
        raise NotImplementedError

    def budget(self, calls: int) -> "BootRig":
        """The same device, whose power fails when the daemon calls a tool after `calls` calls."""
        raise NotImplementedError

    def _wrapped(self, tool: str, budget: Path) -> str:
        path = self.directory / f"budgeted-{tool}"
        path.write_text(BUDGETED_TOOL.format(budget=budget, tool=shutil.which(tool)))
        path.chmod(0o755)
        return str(path)

    def _runs(self, slot: str) -> str:
        (self.directory / "cmdline").write_text(f"quiet p2pupd.slot={slot} ro\n")
        return slot


class StateFileRig(BootRig):
    @property
    def environment(self) -> Path:
        return self.directory / "boot.json"

    def power_on(self, *, environment_is_read_only: bool = False) -> str:
        module = "p2pupd.install.bootloaders.statefile"
        command = [sys.executable, "-m", module, str(self.environment)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class GrubRig(BootRig):
    @property
    def environment(self) -> Path:
        return self.directory / "grubenv"

    def power_on(self, *, environment_is_read_only: bool = False) -> str:
        assignment = re.compile(r"^(\s*)set (\w+=)", re.MULTILINE)
        script = assignment.sub(r"\1\2", documented_script("grub"))
        return self._runs(
            _shell(
                GRUB_SHELL + script + '\necho "$slot"\n',
                TOOL="grub-editenv",
                BLOCK=str(self.environment),
                SAVE_FAILS="yes" if environment_is_read_only else "",
            )
        )

    def budget(self, calls: int) -> BootRig:
        budget = self.directory / "budget"
        budget.write_text(f"{calls}\n")
        tool = self._wrapped("grub-editenv", budget)
        return GrubRig(self.directory, replace(self.settings, grub_editenv=tool))


class UbootRig(BootRig):
    @property
    def environment(self) -> Path:
        return self.directory / "uboot.env"

    def power_on(self, *, environment_is_read_only: bool = False) -> str:
        return self._runs(
            _shell(
                UBOOT_SHELL + documented_script("uboot") + '\necho "$p2pupd_slot"\n',
                CONFIG=str(self.settings.fw_env_config),
                SAVE_FAILS="yes" if environment_is_read_only else "",
            )
        )

    def budget(self, calls: int) -> BootRig:
        budget = self.directory / "budget"
        budget.write_text(f"{calls}\n")
        printenv, setenv = (self._wrapped(name, budget) for name in ("fw_printenv", "fw_setenv"))
        settings = replace(self.settings, fw_printenv=printenv, fw_setenv=setenv)
        return UbootRig(self.directory, settings)


def _shell(script: str, **variables: str) -> str:
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    ended = subprocess.run(
        ["sh", "-c", script], env=path | variables, check=True, capture_output=True, text=True
    )
    return ended.stdout.strip()


def make_rig(kind: BootloaderKind, directory: Path) -> BootRig:
    """A device as it leaves the factory: slot A runs, nothing is armed."""
    cmdline = directory / "cmdline"
    settings = InstallSettings(
        slot_a=directory / "a.img",
        slot_b=directory / "b.img",
        bootloader=kind,
        grubenv=directory / "grubenv",
        fw_env_config=directory / "fw_env.config",
        booted_from=cmdline,
    )
    cmdline.write_text("p2pupd.slot=A\n")
    match kind:
        case BootloaderKind.STATEFILE:
            return StateFileRig(directory, settings)
        case BootloaderKind.GRUB:
            subprocess.run(["grub-editenv", settings.grubenv, "create"], check=True)
            return GrubRig(directory, settings)
        case BootloaderKind.UBOOT:
            _make_uboot_environment(directory, settings.fw_env_config)
            return UbootRig(directory, settings)


def _make_uboot_environment(directory: Path, config: Path) -> None:
    block, defaults = directory / "uboot.env", directory / "defaults"
    block.write_bytes(bytes(2 * UBOOT_COPY))
    config.write_text(
        f"{block} 0x0 {UBOOT_COPY:#x}\n{block} {UBOOT_COPY:#x} {UBOOT_COPY:#x}\n", "ascii"
    )
    defaults.write_text("bootdelay=0\n")
    command = ["fw_setenv", "-c", str(config), "-f", str(defaults), "bootdelay", "0"]
    subprocess.run(command, check=True, capture_output=True)
