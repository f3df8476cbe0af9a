"""p2pupd: one seed updates the whole floor, offline, signed, with automatic return."""

from typing import Final

__version__: Final = "0.1.0"

BUILD_TIME: Final = 1795392000
"""Unix seconds at which this version was made (2026-11-23): no clock can rightly be behind it."""
