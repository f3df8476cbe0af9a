"""Settings of the installer and of the bootloader that it talks to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from p2pupd.errors import ConfigError
from p2pupd.install.pair import SlotName
from p2pupd.model.ids import COMPONENT_PATTERN, LINE_PATTERN
from p2pupd.model.release import BUILT, InstallerKind
from p2pupd.model.setting import NO_PATH, Bytes, Seconds, at_least, setting, spelled, within


class BootloaderKind(StrEnum):
    STATEFILE = "statefile"
    GRUB = "grub"
    UBOOT = "uboot"


def _is_built(kind: InstallerKind) -> str | None:
    return None if kind in BUILT else f"is not an installer of this version: `{'`, `'.join(BUILT)}`"


@dataclass(frozen=True, slots=True)
class InstallSettings:
    """`[install]`: what is updated on this device, and how it boots (docs/bootloaders.md)."""

    component: str = setting(
        "",
        "Component that this device installs; empty: it carries releases, but installs none",
        check=spelled(COMPONENT_PATTERN),
    )
    line: str = setting(
        "",
        "Product line whose releases may be installed; empty: the only one that has the component",
        check=spelled(LINE_PATTERN),
    )
    installer: InstallerKind = setting(
        InstallerKind.SLOTS, "How images are installed", check=_is_built
    )
    slot_a: Path = setting(NO_PATH, "Slot A: a block device, or a file")
    slot_b: Path = setting(NO_PATH, "Slot B: a block device, or a file")
    dirty_limit: Bytes = setting(
        Bytes(16 << 20),
        "Written bytes that may wait in memory before they must be on the medium",
        check=at_least(1 << 20),
    )
    bootloader: BootloaderKind = setting(BootloaderKind.STATEFILE, "What decides which slot boots")
    tries: int = setting(
        1, "How often a new release may be booted to prove itself", check=within(1, 3)
    )
    statefile: Path = setting(
        NO_PATH, "The boot state file of `statefile`; unset: `boot.json` in the state directory"
    )
    initial_slot: SlotName = setting(
        SlotName.A, "Slot that runs when `statefile` makes its file for the first time"
    )
    grubenv: Path = setting(Path("/boot/grub/grubenv"), "GRUB's environment block")
    grub_editenv: str = setting("grub-editenv", "GRUB's tool; `grub2-editenv` on some systems")
    fw_env_config: Path = setting(
        Path("/etc/fw_env.config"), "Where U-Boot's environment is, for fw_printenv and fw_setenv"
    )
    fw_printenv: str = setting("fw_printenv", "U-Boot's tool that reads its environment")
    fw_setenv: str = setting("fw_setenv", "U-Boot's tool that writes its environment")
    booted_from: Path = setting(
        Path("/proc/cmdline"),
        "File with the kernel command line, which tells `grub` and `uboot` the running slot by "
        "`p2pupd.slot=`, `rauc.slot=` or `root=`",
    )
    tool_timeout: Seconds = setting(
        Seconds(30.0), "A bootloader tool that takes longer has failed", check=at_least(1)
    )

    def together(self) -> Iterator[tuple[str, str]]:
        """What is wrong between settings: (key, clause)."""
        if self.component:
            yield from self._slot_mistakes()

    def _slot_mistakes(self) -> Iterator[tuple[str, str]]:
        for key, path in (("slot_a", self.slot_a), ("slot_b", self.slot_b)):
            if path == NO_PATH:
                yield key, "is not set: give the block device or the file of the slot"
            elif not path.is_absolute():
                yield key, f"({path}) is not an absolute path"
        if self.slot_a == self.slot_b != NO_PATH:
            yield "slot_b", f"is {self.slot_b}, and so is slot_a"

    def slots(self) -> Mapping[str, Path]:
        """The paths by slot name. Raises ConfigError unless both are set, absolute and differ."""
        mistakes = [f"install.{key} {wrong}" for key, wrong in self._slot_mistakes()]
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        return {SlotName.A: self.slot_a, SlotName.B: self.slot_b}
