"""A publisher in this process, for the devices of the demo floor: quick, at a time of one's choice.

`Publisher` of lib/fleet.py types the commands instead.
"""

import shutil
import time
from pathlib import Path

from p2pupd import BUILD_TIME
from p2pupd.demo.device import COMPONENT, HARDWARE
from tests.publishing import Publisher


def today() -> int:
    """Now, as a device takes it: never before it was made."""
    return max(int(time.time()), BUILD_TIME)


class Office(Publisher):
    """Releases of `size` bytes each; the keys lie beside the repository."""

    def __init__(self, directory: Path, size: int, ago: int = 0) -> None:
        super().__init__(directory, ("demo",), threshold=1, root_keys=1, now=today() - ago)
        self.size = size

    @property
    def anchor(self) -> Path:
        """What the devices are made with; it stays when the repository goes onto a stick."""
        return self.keys / "root.json"

    def release(self, number: int, hardware: str = HARDWARE) -> bytes:
        """Publish release `number`; its image."""
        self.add(number, size=self.size, component=COMPONENT, hardware_ids=(hardware,))
        return self.image(self.size, seed=number).read_bytes()

    def stick(self, path: Path) -> Path:
        """A stick with all of it, in somebody's pocket."""
        shutil.copytree(self.directory, path / "p2pupd")
        return path
