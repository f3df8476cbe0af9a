"""The reference page docs/configuration.md, generated from the settings classes."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

from p2pupd.config.schema import Settings
from p2pupd.config.structure import DURATIONS, SIZES, keys, type_name
from p2pupd.model.setting import DOC, NO_PATH, Bytes, Seconds

HEAD = """# Configuration

TOML: `/etc/p2pupd/config.toml`, then `/etc/p2pupd/conf.d/*.toml` by name, then the environment
(`P2PUPD_SECTION__KEY=value`), then flags (`--set section.key=value`). The last one counts;
`p2pupd config show` tells where each value came from, `p2pupd config check` finds every mistake.

Sizes are integers or text such as `"64M"` (K, M, G, T are powers of 1024); durations are numbers
of seconds or text such as `"90s"`, `"15m"`, `"2h"`, `"30d"`. Relative paths start at the file that
sets them.
"""


def page() -> str:
    """The whole page in Markdown."""
    parts = [HEAD]
    for section in fields(Settings):
        kind: Any = section.default_factory
        parts.append("\n".join(_section(f"[{section.name}]", kind)))
        for name, hint, _ in keys(kind):
            inner: Any = get_args(hint)[0] if get_args(hint) else None
            if is_dataclass(inner) and isinstance(inner, type):
                parts.append("\n".join(_section(f"[[{section.name}.{name}]]", inner)))
    return "\n".join(parts)


def _section(title: str, kind: type[Any]) -> Iterator[str]:
    yield f"## `{title}`\n"
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, hint, declared in keys(kind):
        doc = declared.metadata[DOC].replace("|", "\\|").removesuffix(".") + "."
        shape = type_name(hint).replace("|", "\\|")
        yield f"| `{name}` | {shape} | {_default(hint, declared.default)} | {doc} |"
    yield ""


def _default(hint: Any, value: Any) -> str:
    if value is MISSING:
        return "required"
    if value == NO_PATH and isinstance(value, Path):
        return "unset"
    if hint is Bytes:
        return f"`{_in_units(value, SIZES)}`"
    if hint is Seconds:
        return f"`{_in_units(value, DURATIONS)}`"
    if isinstance(value, tuple):
        return ("`[" + ", ".join(f'"{each}"' for each in value) + "]`") if value else "`[]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, StrEnum | Path | str):
        return f'`"{value}"`'
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _in_units(value: float, units: Mapping[str, float]) -> str:
    """In the largest unit that divides it, as it would be written into the file."""
    fitting = [unit for unit, worth in units.items() if value and value % worth == 0 and unit]
    return f'"{value / units[fitting[-1]]:g}{fitting[-1]}"' if fitting else f"{value:g}"
