"""The only user of msgpack: values to bytes and back, with every dimension bounded.

Accepted are maps with text keys, arrays, integers of 64 bits, booleans, nil, UTF-8 text and byte
strings. Extension types, floats and repeated map keys are refused.
"""

from itertools import chain
from typing import Any, Final

import msgpack

from p2pupd.errors import ProtocolError

MAX_ENTRIES: Final = 1024
"""Most entries of one map or array."""
MAX_DEPTH: Final = 8
_PLAIN: Final = frozenset({int, bool, str, bytes, type(None)})
_LISTS: Final = frozenset({list, tuple})


def pack(value: Any) -> bytes:
    """The encoding of `value`; maps are written in the order of their keys, so it is canonical.

    `value` must be what `unpack` returns: a value of ours is not checked again.
    """
    packed: bytes = msgpack.packb(_sorted(value), use_bin_type=True)
    return packed


def unpack(raw: bytes, max_bytes: int) -> Any:
    """The value encoded in exactly `raw`.

    Raises ProtocolError: longer than `max_bytes`, not msgpack, bytes left over, a repeated key, a
    type that is not accepted, or more entries or depth than allowed.
    """
    if len(raw) > max_bytes:
        raise ProtocolError(f"message of {len(raw)} bytes; at most {max_bytes} are accepted")
    try:
        value = msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=_unique,
            ext_hook=_no_extension,
            max_array_len=MAX_ENTRIES,
            max_map_len=MAX_ENTRIES,
            max_ext_len=0,
        )
    except ProtocolError:
        raise
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise ProtocolError(f"not a well-formed message: {error}") from error
    _check(value)
    return value


def _sorted(value: Any) -> Any:
    """Lists without maps are left as they are: a message is mostly a long one of short ones."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if not isinstance(value, list | tuple):
        return value
    kinds = set(map(type, value))
    flat = kinds <= _LISTS and _PLAIN.issuperset(map(type, chain.from_iterable(value)))
    return value if flat or kinds <= _PLAIN else [_sorted(each) for each in value]


def _unique(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if not isinstance(key, str):
            raise ProtocolError("map keys must be text")
        if key in found:
            raise ProtocolError(f"the key {key[:80]!r} stands twice")
        found[key] = value
    return found


def _no_extension(code: int, _: bytes) -> Any:
    raise ProtocolError(f"extension type {code} is not accepted")


def _check(value: Any) -> None:
    """Level by level, and not value by value."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [each for each in level if type(each) not in _PLAIN]
        for kind in {type(each) for each in level} - {dict, list}:
            raise ProtocolError(f"values of type {kind.__name__} are not accepted")
        held = (each.values() if isinstance(each, dict) else each for each in level)
        level = list(chain.from_iterable(held))
    if level:
        raise ProtocolError(f"nested deeper than {MAX_DEPTH}")
