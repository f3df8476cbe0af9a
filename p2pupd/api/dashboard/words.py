"""How the dashboard says things: signs beside colours, sizes, times."""

import time
from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

SIGNS: Final[Mapping[str, tuple[str, str]]] = {
    "failed": ("✕", "failed"),
    "silent": ("?", "silent"),
    "trial": ("↻", "on trial"),
    "installing": ("▣", "installing"),
    "waiting": ("‖", "waiting"),
    "fetching": ("↓", "fetching"),
    "behind": ("○", "behind"),
    "current": ("✓", "up to date"),
    "carrier": ("◆", "carries"),
}
"""{state of a device: (its sign, its word)}, the most urgent first. A colour never stands alone."""

STAGES: Final = {
    "done": ("✓", "done"),
    "soaks": ("◔", "proves itself"),
    "runs": ("▶", "its turn"),
    "waits": ("‖", "waits"),
}
SOURCES: Final = {"lan": "neighbours", "uplink": "uplink", "usb": "stick", "reuse": "reused"}
PAUSES: Final = {"paused": "paused by its operator", "window": "outside of its windows"}


def short(device: str) -> str:
    """The first group of a device's id."""
    return device[:7]


def grouped(device: str) -> str:
    """The id in groups of seven, as `p2pupd status` shows it."""
    return " ".join(device[start : start + 7] for start in range(0, len(device), 7))


def size(count: float) -> str:
    """`3.0 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def lasting(seconds: float) -> str:
    """`20 s`, `6 min`, `3 h`, `2 days`: coarse, so that it seldom changes."""
    if seconds < 55:
        return f"{max(5, 5 * round(seconds / 5))} s"
    for unit, length in (("days", 86400), ("h", 3600)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(1, round(seconds / 60))} min"


def moment(when: float) -> str:
    """`26 Nov 01:43:07`, in the time zone of the device that shows it; empty for no time at all."""
    try:
        return time.strftime("%d %b %H:%M:%S", time.localtime(when))
    except (OverflowError, ValueError, OSError):
        return "at no time"


def stamp(when: float) -> str | None:
    """The same for machines: `2026-11-26T01:43:07Z`."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
    except (OverflowError, ValueError, OSError):
        return None


def count(number: int, noun: str) -> str:
    """`1 device`, `2 devices`, `3 copies`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def percent(share: float) -> str:
    """`42 %`, and 100 only when it is all."""
    return f"{int(share * 100)} %"
