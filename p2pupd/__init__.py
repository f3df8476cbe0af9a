"""p2pupd: one seed updates the whole floor, offline, signed, with automatic return."""

from typing import Final

__version__: Final = "0.1.0"
