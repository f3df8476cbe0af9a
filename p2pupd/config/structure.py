"""From TOML's plain values to settings classes, collecting every mistake instead of the first."""

import difflib
import re
import types
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NewType, get_args, get_origin, get_type_hints

from p2pupd.model.numbers import LARGEST
from p2pupd.model.setting import CHECK, NO_PATH, Bytes, Seconds

Mistake = tuple[str, str]
"""(dotted key, what is wrong with it as a clause)."""

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.ASCII | re.IGNORECASE)
SIZES: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
DURATIONS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST: Final = 36500 * 86400.0
"""Seconds: the longest duration of a setting."""


class _WrongError(Exception):
    """A value that does not fit; the text is a clause after the key."""


def structure(
    kind: type[Any], table: dict[str, Any], prefix: str, folder_of: Callable[[str], Path]
) -> tuple[Any, list[Mistake]]:
    """An instance of the settings class `kind` from a TOML table, and every mistake in it.

    Where a value is wrong the default stands in, so that all mistakes can be found. Relative
    paths are taken from `folder_of(key)`, the directory of the file that set the key.
    """
    mistakes: list[Mistake] = []
    known = {each.name: each for each in fields(kind)}
    mistakes += [
        (f"{prefix}{key}", "is not a setting" + suggestion(key, known))
        for key in sorted(table.keys() - known.keys())
    ]
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, declared in known.items():
        dotted = f"{prefix}{name}"
        if name in table:
            try:
                value = _value(hints[name], table[name], dotted, folder_of, mistakes)
                _run_check(declared, value)
                values[name] = value
            except _WrongError as wrong:
                mistakes.append((dotted, str(wrong)))
        elif declared.default is MISSING:
            mistakes.append((dotted, "is missing and has no default"))
    missing = [each.name for each in known.values() if each.default is MISSING]
    complete = all(name in values for name in missing)
    return (kind(**values) if complete else None), mistakes


def suggestion(key: str, known: Any) -> str:
    """`; did you mean X?`, or nothing."""
    near = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def plain(value: Any) -> Any:
    """The TOML-like value from which `structure` makes `value` again."""
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, Path):
        return "" if value == NO_PATH else str(value)
    return str(value) if isinstance(value, StrEnum) else value


def keys(kind: type[Any]) -> Iterator[tuple[str, Any, Field[Any]]]:
    """(name, type, field) of every setting of a settings class."""
    hints = get_type_hints(kind)
    for each in fields(kind):
        yield each.name, hints[each.name], each


def type_name(kind: Any) -> str:
    """How the reference page calls a type."""
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        return f"list of {'tables' if is_dataclass(inner) else type_name(inner)}"
    if isinstance(kind, NewType):
        return {"Bytes": "size", "Seconds": "duration"}[kind.__name__]
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return " | ".join(f"`{each}`" for each in kind)
    return {int: "integer", float: "number", bool: "boolean", str: "text", Path: "path"}[kind]


def byte_count(text: str) -> int:
    """Bytes of a size as it stands in a file. Raises ValueError, whose text is a clause."""
    try:
        return _size(int(text) if text.isdecimal() else text)
    except _WrongError as wrong:
        raise ValueError(str(wrong)) from None


def duration(text: str) -> float:
    """Seconds of a duration as it stands in a file. Raises ValueError, whose text is a clause."""
    try:
        return _duration(text)
    except _WrongError as wrong:
        raise ValueError(str(wrong)) from None


def _run_check(declared: Field[Any], value: Any) -> None:
    check = declared.metadata.get(CHECK)
    wrong = check(value) if check is not None else None
    if wrong:
        raise _WrongError(wrong)


def _value(
    kind: Any,
    given: Any,
    key: str,
    folder_of: Callable[[str], Path],
    mistakes: list[Mistake],
) -> Any:
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        if not isinstance(given, list):
            raise _WrongError(f"must be a list, not {_shown(given)}")
        items = [
            _value(inner, each, f"{key}[{index}]", folder_of, mistakes)
            for index, each in enumerate(given)
        ]
        return tuple(each for each in items if each is not None)
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(given, dict):
            raise _WrongError(f"must be a table, not {_shown(given)}")
        made, wrong = structure(kind, given, f"{key}.", folder_of)
        mistakes.extend(wrong)
        return made
    return _scalar(kind, given, key, folder_of)


def _scalar(kind: Any, given: Any, key: str, folder_of: Callable[[str], Path]) -> Any:
    if kind is Path:
        if not isinstance(given, str):
            raise _WrongError(f"must be a path, not {_shown(given)}")
        return folder_of(key) / _expanded(_text(given)) if given else NO_PATH
    reader = _READERS.get(kind)
    if reader is not None:
        return reader(given)
    return _choice(kind, given)


def _expanded(given: str) -> Path:
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise _WrongError(f"begins with a user who is not known here: {_shown(given)}") from None


def _choice(kind: type[StrEnum], given: Any) -> StrEnum:
    try:
        return kind(given)
    except ValueError:
        raise _WrongError(f"must be one of {', '.join(kind)}, not {_shown(given)}") from None


def _integer(given: Any) -> int:
    if isinstance(given, str) and re.fullmatch(r"-?\d{1,17}", given, re.ASCII):
        given = int(given)
    if not isinstance(given, int) or isinstance(given, bool):
        raise _WrongError(f"must be a whole number, not {_shown(given)}")
    if abs(given) > LARGEST:
        raise _WrongError("is a number too large for any setting")
    return given


def _number(given: Any) -> float:
    if isinstance(given, str) and re.fullmatch(r"-?\d+(\.\d+)?", given, re.ASCII):
        given = float(given)
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise _WrongError(f"must be a number, not {_shown(given)}")
    if not abs(given) <= LARGEST:
        raise _WrongError("is a number too large for any setting")
    return float(given)


def _boolean(given: Any) -> bool:
    known = {"true": True, "false": False, True: True, False: False}
    if not isinstance(given, str | bool) or given not in known:
        raise _WrongError(f"must be true or false, not {_shown(given)}")
    return known[given]


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise _WrongError(f"must be text, not {_shown(given)}")
    if "\0" in given or not _encodes(given):
        raise _WrongError(f"holds what no system takes: {_shown(given)}")
    return given


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _size(given: Any) -> int:
    size = _bytes_of(given)
    if size > LARGEST:
        raise _WrongError(f"is larger than any file or rate: at most {LARGEST} bytes (8191T)")
    return int(size)


def _bytes_of(given: Any) -> float:
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    match = _SIZE.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None:
        raise _WrongError(f'must be a size such as 1048576 or "64M", not {_shown(given)}')
    return float(match[1]) * SIZES[match[2].upper()]


def _duration(given: Any) -> float:
    seconds = _seconds_of(given)
    if seconds > LONGEST:
        raise _WrongError(f"is too long: at most {LONGEST / 86400:.0f}d")
    return float(seconds)


def _seconds_of(given: Any) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool) and given >= 0:
        return given
    text = given.strip() if isinstance(given, str) else ""
    if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        return float(text)
    match = _TIME.fullmatch(text)
    if match is None:
        raise _WrongError(f'must be a duration such as 90 or "15m", not {_shown(given)}')
    return float(match[1]) * DURATIONS[match[2]]


def _shown(given: Any) -> str:
    kinds: dict[type, str] = {dict: "a table", list: "a list", types.NoneType: "nothing"}
    return kinds.get(type(given), repr(given)[:60])


_READERS: Final[dict[Any, Callable[[Any], Any]]] = {
    int: _integer,
    float: _number,
    bool: _boolean,
    str: _text,
    Bytes: _size,
    Seconds: _duration,
}
