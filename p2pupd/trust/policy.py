"""A target's `custom.rollout`, read strictly: how its signer wants it to reach a floor.

Here an unknown field refuses the target: a part of the policy that cannot be followed must not be
left out in silence. Integers and ASCII text only.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from p2pupd.core.windows import window_mistake
from p2pupd.model.numbers import LARGEST
from p2pupd.model.rollout import EVERYBODY, WHOLE, Rollout, Wave

MAX_WAVES: Final = 16
MAX_GROUPS: Final = 16
MAX_WINDOWS: Final = 16
MAX_SOAK_MINUTES: Final = 60 * 24 * 90
MAX_CONCURRENT: Final = 1_000_000
GROUP_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


def parse_rollout(value: Any) -> Rollout:
    """The policy that `value` describes.

    Raises ValueError, whose text is the field within `rollout`, a colon and what is wrong with it.
    """
    said = _object(
        value,
        "",
        {"waves", "canary", "maxFailuresPermille", "windows", "deadline", "maxConcurrent"},
    )
    waves = _waves(said["waves"]) if "waves" in said else EVERYBODY
    groups, soak = _canary(said["canary"]) if "canary" in said else ((), 0)
    limit = _optional(said, "maxFailuresPermille", 1, WHOLE)
    staged = waves != EVERYBODY or bool(groups)
    if staged and limit is None:
        raise ValueError("maxFailuresPermille: is missing, and without it no wave can fail")
    return Rollout(
        waves=waves,
        canary_groups=groups,
        canary_soak_minutes=soak,
        max_failures=limit,
        windows=_windows(said["windows"]) if "windows" in said else (),
        deadline=_optional(said, "deadline", 1, LARGEST),
        max_concurrent=_optional(said, "maxConcurrent", 1, MAX_CONCURRENT),
    )


def rollout_object(policy: Rollout) -> dict[str, Any]:
    """The object from which `parse_rollout` reads the same policy; empty for none."""
    canary = {"groups": list(policy.canary_groups), "soakMinutes": policy.canary_soak_minutes}
    said: dict[str, Any] = {
        "waves": None if policy.waves == EVERYBODY else [_wave_object(w) for w in policy.waves],
        "canary": canary if policy.canary_groups else None,
        "maxFailuresPermille": policy.max_failures,
        "windows": list(policy.windows) or None,
        "deadline": policy.deadline,
        "maxConcurrent": policy.max_concurrent,
    }
    return {name: each for name, each in said.items() if each is not None}


def _wave_object(wave: Wave) -> dict[str, int]:
    soak = {"soakMinutes": wave.soak_minutes} if wave.soak_minutes else {}
    return {"permille": wave.permille, **soak}


def _waves(value: Any) -> tuple[Wave, ...]:
    waves = tuple(map(_wave, _list(value, "waves", MAX_WAVES)))
    shares = [each.permille for each in waves]
    if sorted(set(shares)) != shares:
        raise ValueError("waves: each must reach more devices than the one before")
    if shares[-1] != WHOLE:
        raise ValueError(f"waves: the last one must reach everybody, {WHOLE} permille")
    if waves[-1].soak_minutes:
        raise ValueError("waves: after the last one nobody waits: it has no soakMinutes")
    return waves


def _wave(value: Any) -> Wave:
    said = _object(value, "waves", {"permille", "soakMinutes"})
    permille = _integer(said.get("permille"), "waves.permille", 1, WHOLE)
    return Wave(permille, _soak(said, "waves.soakMinutes"))


def _canary(value: Any) -> tuple[tuple[str, ...], int]:
    said = _object(value, "canary", {"groups", "soakMinutes"})
    groups = _texts(said.get("groups"), "canary.groups", MAX_GROUPS)
    if any(GROUP_PATTERN.fullmatch(each) is None for each in groups):
        raise ValueError(f"canary.groups: each must match {GROUP_PATTERN.pattern}")
    if len(set(groups)) != len(groups):
        raise ValueError("canary.groups: names a group twice")
    return groups, _soak(said, "canary.soakMinutes")


def _windows(value: Any) -> tuple[str, ...]:
    windows = _texts(value, "windows", MAX_WINDOWS)
    mistake = window_mistake(windows)
    if mistake is not None or not all(each.isascii() for each in windows):
        raise ValueError(f"windows: one {mistake or 'is not ASCII text'}")
    return windows


def _soak(said: dict[str, Any], name: str) -> int:
    return _integer(said.get("soakMinutes", 0), name, 0, MAX_SOAK_MINUTES)


def _object(value: Any, name: str, known: Iterable[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{_prefix(name)}must be an object")
    unknown = sorted(map(str, set(value) - set(known)))
    if unknown:
        raise ValueError(f"{_prefix(name)}{str(unknown)[:80]} is nothing this daemon can follow")
    return value


def _prefix(name: str) -> str:
    return f"{name}: " if name else ""


def _list(value: Any, name: str, most: int) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise ValueError(f"{name}: must be a list of 1 to {most}")
    return value


def _texts(value: Any, name: str, most: int) -> tuple[str, ...]:
    texts = _list(value, name, most)
    if not all(isinstance(each, str) for each in texts):
        raise ValueError(f"{name}: must be texts")
    return tuple(texts)


def _optional(said: dict[str, Any], name: str, least: int, most: int) -> int | None:
    return _integer(said[name], name, least, most) if name in said else None


def _integer(value: Any, name: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name}: must be a whole number from {least} to {most}")
    return value
