"""Is there enough power to install, and: restart the device."""

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from p2pupd.errors import HostError
from p2pupd.host.processes import run

log = logging.getLogger(__name__)

SUPPLIES: Final = Path("/sys/class/power_supply")


def power_ok(least_percent: int, supplies: Path = SUPPLIES) -> bool:
    """Whether the device is on mains, has no battery, or one that holds `least_percent` or more.

    Batteries of connected things (a mouse) do not count; one that does not tell counts as empty.
    """
    batteries = []
    for supply in _entries(supplies):
        kind = _read(supply / "type")
        if kind == "Battery" and _read(supply / "scope") != "Device":
            batteries.append(supply)
        elif kind != "Battery" and _read(supply / "online") in ("1", "2"):
            return True
    return not batteries or max(_percent(each) for each in batteries) >= least_percent


async def restart(command: Sequence[str], timeout: float) -> None:
    """Run `command` with `{pid}` replaced by this process's id, and wait for the end to come.

    Returns only if the device (or this process) still lives after `timeout` seconds. Raises
    HostError when the command cannot be started or says that it failed.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    ready = [part.replace("{pid}", str(os.getpid())) for part in command]
    log.warning("power.restart command=%s", ready)
    finished = await run(ready, timeout=timeout)
    if finished.code != 0:
        raise HostError(f"the device could not be restarted: {finished.summary}", reason="reboot")
    await asyncio.sleep(max(0.0, deadline - loop.time()))


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _percent(battery: Path) -> int:
    text = _read(battery / "capacity")
    return int(text) if text.isdecimal() else 0
