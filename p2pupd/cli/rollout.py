"""Options of `repo add` that say how a release reaches a floor."""

import functools
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

from p2pupd.errors import UsageError
from p2pupd.model.rollout import EVERYBODY, WHOLE, Rollout, Wave

R = TypeVar("R")
SOAK: Final = re.compile(r"(\d{1,6})([mhd])", re.ASCII)
SHARE: Final = re.compile(r"(\d{1,3})(?:\.(\d))? ?%", re.ASCII)
MINUTES: Final = {"m": 1, "h": 60, "d": 24 * 60}
_OPTIONS: Final = (
    "waves", "canaries", "canary_soak", "max_failures", "max_concurrent", "windows", "deadline",
)  # fmt: skip


def rollout_options(command: Callable[..., R]) -> Callable[..., R]:
    """`--waves` and its company; the command gets `rollout`."""

    @click.option(
        "--waves",
        metavar="SHARE[:SOAK],...",
        help="Shares of all devices, each with the time before the next: 5%:2h,25%:1d,100%.",
    )
    @click.option(
        "--canary", "canaries", multiple=True, metavar="GROUP", help="Comes first; repeatable."
    )
    @click.option("--canary-soak", metavar="TIME", help="Time before the first wave: 30m, 2h, 1d.")
    @click.option(
        "--max-failures", metavar="SHARE", help="So much of a wave failing halts it: 10%."
    )
    @click.option("--max-concurrent", type=int, metavar="N", help="Devices of a site at once.")
    @click.option("--window", "windows", multiple=True, help="Mon-Fri 22:00-05:00; repeatable.")
    @click.option("--deadline", metavar="DATE", help="Then windows and deferral end: 2027-01-31.")
    @functools.wraps(command)
    def wrapper(*args: Any, **given: Any) -> R:
        said = {name: given.pop(name) for name in _OPTIONS}
        return command(*args, rollout=_policy(**said), **given)

    return wrapper


def _policy(
    *,
    waves: str | None,
    canaries: tuple[str, ...],
    canary_soak: str | None,
    max_failures: str | None,
    max_concurrent: int | None,
    windows: tuple[str, ...],
    deadline: str | None,
) -> Rollout:
    if canary_soak is not None and not canaries:
        raise UsageError("--canary-soak: there are no canaries; name their group by --canary")
    if (waves or canaries) and max_failures is None:
        raise UsageError(
            "--waves and --canary need --max-failures: the share of a wave whose failure "
            "halts the release everywhere"
        )
    limit = None if max_failures is None else _permille(max_failures, "--max-failures")
    return Rollout(
        waves=EVERYBODY if waves is None else tuple(map(_wave, waves.split(","))),
        canary_groups=canaries,
        canary_soak_minutes=_minutes(canary_soak or "0m", "--canary-soak"),
        max_failures=limit,
        windows=windows,
        deadline=None if deadline is None else _time(deadline),
        max_concurrent=max_concurrent,
    )


def rollout_lines(said: dict[str, Any]) -> list[str]:
    """A signed `rollout` object, as `repo show` tells it."""
    lines = []
    if canary := said.get("canary"):
        lines.append(f"canaries {', '.join(canary['groups'])}{_soak(canary)}")
    if waves := said.get("waves"):
        lines.append("waves " + ", ".join(f"{_percent(w['permille'])}{_soak(w)}" for w in waves))
    if limit := said.get("maxFailuresPermille"):
        lines.append(f"halts at {_percent(limit)} failures")
    if most := said.get("maxConcurrent"):
        lines.append(f"{most} at once")
    if windows := said.get("windows"):
        lines.append(f"only {', '.join(windows)}")
    if deadline := said.get("deadline"):
        lines.append(f"deadline {datetime.fromtimestamp(deadline, UTC):%Y-%m-%d %H:%M} UTC")
    return lines


def _percent(permille: int) -> str:
    return f"{permille / 10:g} %"


def _soak(said: dict[str, Any]) -> str:
    minutes = said.get("soakMinutes", 0)
    return f" then {minutes} min" if minutes else ""


def _wave(text: str) -> Wave:
    share, colon, soak = text.strip().partition(":")
    return Wave(_permille(share, "--waves"), _minutes(soak, "--waves") if colon else 0)


def _permille(text: str, option: str) -> int:
    match = SHARE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{option}: {text!r} is no share of the devices; write 5% or 2.5%")
    permille = int(match[1]) * 10 + int(match[2] or 0)
    if not 1 <= permille <= WHOLE:
        raise UsageError(f"{option}: {text} is not within 0.1% to 100%")
    return permille


def _minutes(text: str, option: str) -> int:
    match = SOAK.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{option}: {text!r} is no time to wait; write 90m, 2h or 1d")
    return int(match[1]) * MINUTES[match[2]]


def _time(text: str) -> int:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--deadline: {text!r} is no date; write 2027-01-31 or 2027-01-31T22:00 (UTC)"
        ) from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
