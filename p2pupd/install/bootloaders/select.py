"""The configured bootloader's adaptor."""

from functools import partial
from pathlib import Path
from typing import Final

from p2pupd.install.bootloaders.booted import booted_slot
from p2pupd.install.bootloaders.environment import EnvironmentBootControl
from p2pupd.install.bootloaders.grub import GrubDialect, GrubStorage
from p2pupd.install.bootloaders.statefile import StateFileBootControl
from p2pupd.install.bootloaders.uboot import UbootDialect, UbootStorage
from p2pupd.install.interface import BootControl
from p2pupd.install.settings import BootloaderKind, InstallSettings
from p2pupd.model.setting import NO_PATH

DEFAULT_STATEFILE: Final = "boot.json"


def statefile_path(settings: InstallSettings, state_dir: Path) -> Path:
    """Where `statefile` keeps its file."""
    return state_dir / DEFAULT_STATEFILE if settings.statefile == NO_PATH else settings.statefile


def boot_control(settings: InstallSettings, state_dir: Path) -> BootControl:
    """The adaptor for `settings.bootloader`. Raises ConfigError when the slots are not set."""
    booted = partial(booted_slot, settings.booted_from, settings.slots())
    match settings.bootloader:
        case BootloaderKind.STATEFILE:
            path = statefile_path(settings, state_dir)
            return StateFileBootControl(path, settings.initial_slot)
        case BootloaderKind.GRUB:
            grub = GrubStorage(settings.grubenv, settings.grub_editenv, settings.tool_timeout)
            return EnvironmentBootControl(GrubDialect(), grub, booted)
        case BootloaderKind.UBOOT:
            uboot = UbootStorage(
                settings.fw_env_config,
                settings.fw_printenv,
                settings.fw_setenv,
                settings.tool_timeout,
            )
            return EnvironmentBootControl(UbootDialect(), uboot, booted)
