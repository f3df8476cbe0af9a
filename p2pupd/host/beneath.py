"""Walking a directory tree that somebody else made, without ever leaving it.

One component at a time, relative to an open directory, never following a symbolic link, and never
opening what is not a regular file or a directory: opening a FIFO blocks, opening a device acts.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from p2pupd.errors import UnsafeMedia

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
NAME_ROOM: Final = 200
"""Characters of a file's name that its temporary predecessor takes over."""


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of the directory `path`, which the operator named. Raises OSError."""
    fd = os.open(path, _DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def entered(parent: int, name: str, *, create: bool = False) -> Iterator[int]:
    """A descriptor of directory `name` in `parent`, made first where `create` says so.

    Raises UnsafeMedia when it is anything but a real directory, FileNotFoundError, OSError.
    """
    fd = enter(parent, name, create=create)
    try:
        yield fd
    finally:
        os.close(fd)


def enter(parent: int, name: str, *, create: bool = False) -> int:
    """The same, to be closed by the caller."""
    _check(name)
    if create:
        try:
            os.mkdir(name, dir_fd=parent)
            _sync_directory(parent)
        except FileExistsError:
            pass
    mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    if not stat.S_ISDIR(mode):
        raise UnsafeMedia(f"{name} is {kind_of(mode)}; a directory was expected")
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


@contextmanager
def descended(start: int, names: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """A descriptor of the directory that `names` lead to, one after another, from `start`."""
    fd = os.dup(start)
    try:
        for name in names:
            deeper = enter(fd, name, create=create)
            os.close(fd)
            fd = deeper
        yield fd
    finally:
        os.close(fd)


def open_file(parent: int, name: str) -> int:
    """A descriptor for reading the regular file `name` in `parent`, to be closed by the caller.

    Raises UnsafeMedia when it is anything else, FileNotFoundError, OSError.
    """
    _check(name)
    mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    if not stat.S_ISREG(mode):
        raise UnsafeMedia(f"{name} is {kind_of(mode)}; a regular file was expected")
    fd = os.open(name, _FILE, dir_fd=parent)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise UnsafeMedia(f"{name} was exchanged while it was being opened")
    return fd


def write_file(parent: int, name: str, chunks: Iterable[bytes]) -> None:
    """Replace file `name` in `parent` durably by `chunks`; on any failure the old one stays.

    Raises OSError, and whatever producing the chunks raises.
    """
    _check(name)
    temporary = f".{name[:NAME_ROOM]}.new"
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=parent)
    fd = os.open(temporary, _NEW, 0o644, dir_fd=parent)
    try:
        with open(fd, "wb", buffering=0) as file:
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest:
                    rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=parent)
        raise
    _sync_directory(parent)


def _sync_directory(fd: int) -> None:
    """Some file systems of sticks cannot do it, and say so; then the file's own fsync must do."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise


def kind_of(mode: int) -> str:
    """What a file mode stands for, for people."""
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
        stat.S_IFSOCK: "a socket",
        stat.S_IFDIR: "a directory",
        stat.S_IFREG: "a regular file",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


def _check(name: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise UnsafeMedia(f"{name!r} is not the name of a file or directory")
