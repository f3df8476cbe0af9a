"""Fields of a decoded message, each checked against its type and limit; only wire may call it.

Each check takes a value as `codec.unpack` returns it, None where the field is missing, and `what`,
the field's name for the error. It returns what it was given, or raises ProtocolError.
"""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from p2pupd.errors import ProtocolError

T = TypeVar("T")
LAST_PORT: Final = 65535
SHOWN: Final = 64
"""Characters of an error about a value of somebody else's."""


def versioned(value: Any, version: int, what: str) -> dict[str, Any]:
    """A map whose `v` is `version`; here `what` is the whole message."""
    if not isinstance(value, dict) or value.get("v") != version:
        raise ProtocolError(f"not {what} of version {version}")
    return value


def number(value: Any, most: int, what: str) -> int:
    """From 0 to `most`; true and false are no numbers."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ProtocolError(f"`{what}` is not a whole number from 0 to {most}")
    return value


def printable(value: Any, most: int, what: str) -> str:
    """Text of at most `most` bytes of UTF-8 that a screen shows as it is."""
    if not isinstance(value, str) or not value.isprintable() or len(value.encode()) > most:
        raise ProtocolError(f"`{what}` is not printable text of at most {most} bytes")
    return value


def matching(value: Any, pattern: re.Pattern[str], what: str) -> str:
    """Text that is all of `pattern`."""
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise ProtocolError(f"`{what}` is missing or malformed")
    return value


def one_of(value: Any, kind: Callable[[Any], T], what: str) -> T:
    """The member of the enumeration `kind` with this value."""
    try:
        return kind(value)
    except ValueError as error:
        raise ProtocolError(f"`{what}`: {str(error)[:SHOWN]}") from error


def exactly(value: Any, length: int, what: str) -> bytes:
    """A byte string of `length` bytes."""
    if not isinstance(value, bytes) or len(value) != length:
        raise ProtocolError(f"`{what}` is not {length} bytes")
    return value


def pieces(value: Any, length: int, most: int, what: str) -> tuple[bytes, ...]:
    """A byte string cut into at most `most` of `length` bytes each, none shorter."""
    if not isinstance(value, bytes) or len(value) % length or len(value) > most * length:
        raise ProtocolError(f"`{what}` is not at most {most} times {length} bytes")
    return tuple(value[start : start + length] for start in range(0, len(value), length))


def array(value: Any, most: int, read: Callable[[Any], T], what: str) -> tuple[T, ...]:
    """A list of at most `most`, each as `read` returns it."""
    if not isinstance(value, list) or len(value) > most:
        raise ProtocolError(f"`{what}` is not a list of at most {most}")
    return tuple(map(read, value))
