"""Durable file writes: after a power cut a file is the old one or the new one, never a torn one."""

import errno
import fcntl
import os
import threading
from pathlib import Path
from typing import Final

from p2pupd.errors import FetchError, HostError, SourceGone, SpaceError

PRIVATE: Final = 0o600
_WRITING: Final = tuple(threading.Lock() for _ in range(32))
"""Held while a path is replaced, each for all paths with the same hash."""
NO_SPACE_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
GONE_ERRNOS: Final = frozenset(
    {
        errno.EIO,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOMEDIUM,
        errno.EREMOTEIO,
        errno.ESHUTDOWN,
        errno.ESTALE,
        errno.ENOTCONN,
    }
)
"""What the kernel says when a medium was pulled while it was in use."""


def host_error(error: OSError, doing: str) -> HostError | SpaceError:
    """The error of our tree for a failed system call while `doing` (a clause with the path)."""
    kind = SpaceError if error.errno in NO_SPACE_ERRNOS else HostError
    return kind(f"cannot {doing}: {error.strerror or error}")


def source_error(error: OSError, doing: str) -> FetchError:
    """The same for a source of bytes: SourceGone where the medium was pulled, else FetchError."""
    kind = SourceGone if error.errno in GONE_ERRNOS else FetchError
    return kind(f"cannot {doing}: {error.strerror or error}")


def sync_directory(directory: Path) -> None:
    """Make entries of `directory` durable (fsync of the directory itself)."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_durably(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `content`, created with `mode`; fsynced with its directory on return.

    Threads that write the same path take turns. Raises HostError or SpaceError, and leaves what was
    there.
    """
    with _WRITING[hash(path) % len(_WRITING)]:
        _replace(path, content, mode)


def _replace(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.unlink(missing_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise host_error(error, f"write {path}") from error


def make_directory(path: Path, mode: int = 0o755) -> Path:
    """The directory, made durably where it is missing, parents too. Raises HostError, SpaceError.

    `mode` is that of the last one; parents get 0755.
    """
    missing = [each for each in (path, *path.parents) if not each.is_dir()]
    try:
        for each in reversed(missing):
            each.mkdir(mode=mode if each == path else 0o755, exist_ok=True)
            sync_directory(each.parent)
    except OSError as error:
        raise host_error(error, f"make the directory {path}") from error
    return path


def hold(path: Path) -> int:
    """A descriptor that keeps `path` locked for this process until it is closed, or dies.

    Raises HostError: reason `already-running` where another process holds it.
    """
    make_directory(path.parent, 0o700)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise host_error(error, f"open {path}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno != errno.EWOULDBLOCK:
            raise host_error(error, f"lock {path}") from error
        raise HostError(
            f"another p2pupd daemon works in {path.parent} (it holds {path.name}): stop it, or "
            "give this one a state directory of its own",
            reason="already-running",
        ) from error
    return fd


def set_aside(path: Path, word: str) -> Path:
    """Rename `path` durably to the first free `NAME.WORD-N` beside it; the new path.

    Raises HostError.
    """
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.{word}-{number}")):
        number += 1
    try:
        os.rename(path, aside)
        sync_directory(path.parent)
    except OSError as error:
        raise host_error(error, f"set {path} aside") from error
    return aside


def free_bytes(path: Path) -> int:
    """Bytes that an unprivileged program may still write under `path`. Raises HostError."""
    try:
        facts = os.statvfs(path)
    except OSError as error:
        raise host_error(error, f"ask how much room there is under {path}") from error
    return facts.f_bavail * facts.f_frsize


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes. Raises HostError, also when it is larger."""
    try:
        with open(path, "rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise host_error(error, f"read {path}") from error
    if len(content) > limit:
        raise HostError(f"{path} is larger than {limit} bytes")
    return content
