"""Files and block devices as bytes at rest."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pupd.errors import HostError
from p2pupd.host.files import host_error

_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Without waiting for a FIFO's other end: that is refused."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A Readable that `opened` made."""

    path: Path
    fd: int
    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """As the contract says."""
        parts: list[bytes] = []
        try:
            while length > 0 and (part := os.pread(self.fd, length, offset)):
                parts.append(part)
                offset, length = offset + len(part), length - len(part)
        except OSError as error:
            raise host_error(error, f"read {self.path}") from error
        return parts[0] if len(parts) == 1 else b"".join(parts)


@contextmanager
def opened(path: Path) -> Iterator[OpenFile]:
    """`path`, a regular file or block device, open for reading in the block. Raises HostError."""
    try:
        fd = os.open(path, _READ)
    except OSError as error:
        raise host_error(error, f"open {path}") from error
    try:
        yield OpenFile(path, fd, _size(path, fd))
    finally:
        os.close(fd)


def _size(path: Path, fd: int) -> int:
    try:
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise HostError(f"{path} is neither a regular file nor a block device")
        return os.lseek(fd, 0, os.SEEK_END)
    except OSError as error:
        raise host_error(error, f"measure {path}") from error
