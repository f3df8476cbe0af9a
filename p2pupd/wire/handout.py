"""What a seed sends that hands out pieces: each after its number, and words between them.

A number has four bytes, the most significant first; those that no piece can have are words.
"""

from enum import IntEnum
from typing import Final

from p2pupd.errors import ProtocolError

NUMBER: Final = 4
"""Bytes of a number."""
LASTS: Final = 5.0
"""Seconds after which a device is to say anew what it wants."""
SLOWEST: Final = 1024
"""Bytes per second that a device must take, and a seed must send of a piece: on a large floor each
device gets a small part of a line."""
MAX_UNWANTED: Final = 64 * 1024
"""Bytes of the list of pieces that a device does not want, a bit a piece."""


class Word(IntEnum):
    """IDLE: nothing to send just now. AGAIN: ask anew, and say what is wanted now. OVER: every
    piece was handed out to somebody; what is lacking comes from other devices."""

    IDLE = 0xFFFFFFFF
    AGAIN = 0xFFFFFFFE
    OVER = 0xFFFFFFFD


def encode_number(number: int) -> bytes:
    """A piece's number or a word."""
    return number.to_bytes(NUMBER, "big")


def decode_number(raw: bytes, pieces: int) -> Word | int:
    """A word, or the number of one of so many pieces. Raises ProtocolError."""
    number = int.from_bytes(raw, "big")
    if number < pieces:
        return number
    try:
        return Word(number)
    except ValueError as error:
        raise ProtocolError(f"there is no piece {number} of {pieces}") from error
