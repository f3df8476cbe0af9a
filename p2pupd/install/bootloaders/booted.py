"""Which slot runs, from the kernel command line that the bootloader made."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from p2pupd.errors import BootControlError, HostError
from p2pupd.host.files import read_bounded
from p2pupd.install.pair import SlotName, named

CMDLINE_LIMIT: Final = 64 * 1024
_SLOT_KEYS: Final = ("p2pupd.slot", "rauc.slot")
_BY: Final = {
    "PARTUUID": "by-partuuid",
    "PARTLABEL": "by-partlabel",
    "UUID": "by-uuid",
    "LABEL": "by-label",
}


def booted_slot(source: Path, slots: Mapping[str, Path]) -> SlotName:
    """The slot named by `p2pupd.slot=`, `rauc.slot=` or, failing these, by `root=` in `source`.

    `root=` is a device, or a PARTUUID=, PARTLABEL=, UUID= or LABEL= that udev knows; it is compared
    with the paths of `slots` through all symbolic links. Raises BootControlError when none tells.
    """
    try:
        words = read_bounded(source, CMDLINE_LIMIT).decode("utf-8", "replace").split()
    except HostError as error:
        raise BootControlError(f"cannot tell which slot runs: {error.message}") from error
    values = dict(word.split("=", 1) for word in words if "=" in word)
    for key in _SLOT_KEYS:
        if (slot := named(values.get(key, ""))) is not None:
            return slot
    root = _device(values.get("root", ""))
    for name, path in slots.items():
        if root is not None and os.path.realpath(path) == os.path.realpath(root):
            return SlotName(name)
    raise BootControlError(
        f"cannot tell which slot runs: {source} has neither p2pupd.slot= nor rauc.slot= with A or "
        "B, and its root= is neither slot; let the bootloader pass p2pupd.slot=A or =B"
    )


def _device(root: str) -> Path | None:
    kind, _, value = root.partition("=")
    if kind in _BY and value:
        return Path("/dev/disk") / _BY[kind] / value
    return Path(root) if root.startswith("/") else None
