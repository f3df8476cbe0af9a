"""Releases as JSON text: every field by its name, so that a person can read the journal."""

import json
import types
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from p2pupd.model.release import Release


def release_to_json(release: Release) -> str:
    """Lossless; tuples become arrays, enums their values."""
    return json.dumps(asdict(release), sort_keys=True)


def release_from_json(text: str) -> Release:
    """The inverse. Fields that this version does not know are ignored, as after a roll-back of
    this very program. Raises ValueError where it is no release.
    """
    try:
        release = _restore(Release, json.loads(text))
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a release: {error}") from error
    assert isinstance(release, Release)
    return release


def _restore(kind: Any, value: Any) -> Any:
    """`value` as json.loads gave it, as the model's `kind`. Raises ValueError and the like."""
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        known = {each.name for each in fields(kind)} & value.keys()
        return kind(**{name: _restore(hints[name], value[name]) for name in known})
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{value!r} is not a list")
        return tuple(_restore(get_args(kind)[0], each) for each in value)
    if get_origin(kind) in (Union, types.UnionType):
        plain = next(each for each in get_args(kind) if each is not type(None))
        return None if value is None else _restore(plain, value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    plain_type = getattr(kind, "__supertype__", kind)
    if type(value) is not plain_type:
        raise ValueError(f"{value!r} is not of type {plain_type.__name__}")
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
