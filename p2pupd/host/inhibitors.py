"""Who forbids this machine to shut down now: systemd-logind's inhibitor locks, by D-Bus."""

import json
from typing import Any, Final

from p2pupd.errors import HostError
from p2pupd.host.processes import run

LIST: Final = (
    "busctl",
    "--system",
    "--json=short",
    "call",
    "org.freedesktop.login1",
    "/org/freedesktop/login1",
    "org.freedesktop.login1.Manager",
    "ListInhibitors",
)
ANSWER_SECONDS: Final = 10.0


async def shutdown_blocks() -> list[str]:
    """Each block on shutdown as `WHO: WHY`. Raises HostError where logind cannot be asked."""
    finished = await run(LIST, timeout=ANSWER_SECONDS)
    if finished.code != 0:
        raise HostError(f"cannot ask for inhibitor locks: {finished.summary}")
    return parse_inhibitors(finished.output)


def parse_inhibitors(text: str) -> list[str]:
    """The blocks on shutdown in busctl's answer of type a(ssssuu). Raises HostError."""
    try:
        [locks] = json.loads(text)["data"]
        return [_said(lock) for lock in locks if "shutdown" in lock[0].split(":") and _blocks(lock)]
    except (ValueError, TypeError, KeyError, LookupError, AttributeError) as error:
        raise HostError("systemd-logind lists inhibitor locks in an unknown form") from error


def _blocks(lock: list[Any]) -> bool:
    return str(lock[3]).startswith("block")


def _said(lock: list[Any]) -> str:
    return f"{lock[1]}: {lock[2]}"
