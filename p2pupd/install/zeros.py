"""Zero bytes of an image, put into a slot as its medium does it best: it is written in order, so
whatever is behind the place in the slot is old.
"""

import fcntl
import os
import struct
from collections.abc import Iterator
from typing import Final

_BLKZEROOUT: Final = 0x127F
_RANGE: Final = struct.Struct("=QQ")
AT_ONCE: Final = 64 << 20
"""Bytes that a device is asked to make zero at once: it may have to write them."""
_NO_BYTES: Final = bytes(1 << 20)


def leave_zeros(fd: int, at: int, length: int, *, is_device: bool) -> Iterator[int]:
    """Make `length` bytes from `at` on read as zeros; tells of the bytes done so far.

    In a file they are a hole: it is cut at `at`, and has at least that length afterwards. A device
    is asked to zero them, which most flash does without writing. Raises OSError.
    """
    if not is_device:
        os.ftruncate(fd, at)
        yield length
        return
    for done in range(0, length, AT_ONCE):
        size = min(AT_ONCE, length - done)
        _zero_out(fd, at + done, size)
        yield done + size


def _zero_out(fd: int, at: int, length: int) -> None:
    try:
        fcntl.ioctl(fd, _BLKZEROOUT, _RANGE.pack(at, length))
    except OSError:
        write_all(fd, length, at)


def write_all(fd: int, length: int, at: int) -> None:
    """Write `length` zero bytes at `at`. Raises OSError."""
    while length:
        count = os.pwrite(fd, memoryview(_NO_BYTES)[:length], at)
        length, at = length - count, at + count
