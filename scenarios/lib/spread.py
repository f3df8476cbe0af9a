"""How much of an image has reached a floor, seen from outside: in the files of its devices."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from p2pupd.demo.device import Device

BLOCK: Final = 16 * 1024
"""Bytes that BitTorrent moves at once."""
HEAD: Final = 16
"""Bytes that tell whether it is worth to compare a block."""


class Spread:
    """The blocks of the image `content` that are on the disk of one of the devices at least.

    What has just come is in a device's memory first, so this is late by as much as a second.
    A block that was seen is not looked for again, so it costs little to look often.
    """

    def __init__(self, content: bytes, devices: Iterable[Device]) -> None:
        self._content = content
        self._devices = list(devices)
        self._blocks = -(-len(content) // BLOCK)
        self._missing = list(range(self._blocks))

    @property
    def share(self) -> float:
        """Of the image, when it was looked last."""
        return 1 - len(self._missing) / self._blocks

    def look(self) -> float:
        """The share of now. Blocks."""
        for path in [path for each in self._devices for path in files_of(each, len(self._content))]:
            if not self._missing:
                break
            file = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
                self._missing = [each for each in self._missing if not self._is_in(file, each)]
            finally:
                os.close(file)
        return self.share

    def _is_in(self, file: int, block: int) -> bool:
        start = block * BLOCK
        wanted = self._content[start : start + BLOCK]
        if os.pread(file, HEAD, start) != wanted[:HEAD]:
            return False
        return os.pread(file, len(wanted), start) == wanted


def files_of(device: Device, size: int) -> list[Path]:
    """What lies in its store and is as long as the image: complete, or on its way."""
    found = (device.directory / "store").glob("*/*")
    return [each for each in found if each.is_file() and each.stat().st_size == size]


def has(device: Device, image: bytes) -> bool:
    """Whether the whole image is in its store."""
    return any(each.read_bytes() == image for each in files_of(device, len(image)))
