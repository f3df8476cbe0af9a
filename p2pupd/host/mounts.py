"""What is mounted, from /proc/self/mountinfo (proc_pid_mountinfo(5)), and when that changes."""

import asyncio
import logging
import os
import re
import select
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pupd.errors import HostError
from p2pupd.host.files import host_error

log = logging.getLogger(__name__)

MOUNTINFO: Final = Path("/proc/self/mountinfo")
MAX_BYTES: Final = 16 * 1024 * 1024
"""A mount table larger than this is an error, not something to fill the memory with."""

_OCTAL: Final = re.compile(rb"\\([0-3][0-7]{2})")
_SEPARATOR: Final = b"-"


@dataclass(frozen=True, slots=True)
class Mount:
    """One line. `device` is MAJOR:MINOR; `options` are the mount's, `super_options` the file
    system's own, unescaped only where they are paths."""

    id: int
    parent: int
    device: str
    root: str
    point: Path
    options: tuple[str, ...]
    kind: str
    source: str
    super_options: tuple[str, ...]

    @property
    def read_only(self) -> bool:
        return "ro" in self.options or "ro" in self.super_options


def parse(raw: bytes) -> tuple[Mount, ...]:
    """The mounts of a mount table, in its order. Lines that make no sense are left out, logged."""
    mounts = []
    for line in raw.split(b"\n"):
        if line:
            try:
                mounts.append(_parse_line(line))
            except (ValueError, IndexError):
                log.warning("mounts.malformed line=%r", line[:200])
    return tuple(mounts)


def _parse_line(line: bytes) -> Mount:
    fields = line.split(b" ")
    dash = fields.index(_SEPARATOR, 6)
    kind, source, super_options = fields[dash + 1 : dash + 4]
    return Mount(
        id=int(fields[0]),
        parent=int(fields[1]),
        device=fields[2].decode("ascii"),
        root=_unescape(fields[3]),
        point=Path(_unescape(fields[4])),
        options=_options(fields[5]),
        kind=_unescape(kind),
        source=_unescape(source),
        super_options=_options(super_options),
    )


def _unescape(field: bytes) -> str:
    r"""`\040` is a space: the kernel writes space, tab, newline, backslash and # in octal."""
    plain = _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), field)
    return os.fsdecode(plain)


def _options(field: bytes) -> tuple[str, ...]:
    return tuple(os.fsdecode(each) for each in field.split(b",") if each)


async def watch(path: Path = MOUNTINFO) -> AsyncIterator[tuple[Mount, ...]]:
    """All mounts at once, and again after every change in this mount namespace.

    The same set may come twice: a file system that was exchanged for its like is a change too.
    Raises HostError when the table cannot be read.
    """
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    table = _open(path)
    # The table is always readable, so a loop that watches it for reading would spin; news comes
    # as EPOLLPRI. An epoll instance that waits for just that is readable only when there is news.
    news = select.epoll()
    try:
        news.register(table, select.EPOLLPRI | select.EPOLLERR)
        loop.add_reader(news.fileno(), _notice, news, changed)
        while True:
            changed.clear()
            yield parse(_read(table, path))
            await changed.wait()
    finally:
        loop.remove_reader(news.fileno())
        news.close()
        os.close(table)


def _notice(news: select.epoll, changed: asyncio.Event) -> None:
    news.poll(0)
    changed.set()


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise host_error(error, f"read the mount table {path}") from error


def _read(table: int, path: Path) -> bytes:
    """The whole table, from its start."""
    content = bytearray()
    try:
        os.lseek(table, 0, os.SEEK_SET)
        while chunk := os.read(table, 64 * 1024):
            content += chunk
            if len(content) > MAX_BYTES:
                raise HostError(f"the mount table {path} is larger than {MAX_BYTES} bytes")
    except OSError as error:
        raise host_error(error, f"read the mount table {path}") from error
    return bytes(content)


def is_removable(device: str, sys: Path = Path("/sys")) -> bool:
    """Whether block device MAJOR:MINOR is on a stick or a card, or hangs on USB.

    False for what has no block device (tmpfs, network file systems).
    """
    try:
        node = (sys / "dev" / "block" / device).resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    if any(part.startswith("usb") for part in node.relative_to(sys.resolve()).parts):
        return True
    disk = node.parent if (node / "partition").exists() else node
    try:
        return (disk / "removable").read_text("ascii").strip() == "1"
    except OSError:
        return False
