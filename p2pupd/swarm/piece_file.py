"""An artifact's file that fills up piece by piece, in any order, and how much of it is there.

Nothing is noted about single pieces: after a start what is on disk is hashed again and compared
with the piece layer. So a kill at any moment loses at most what was just being written. It is made
once: a file that vanishes, or is replaced, would lack what was written before. All methods block.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from p2pupd.core.piece_layer import PieceLayer, length_of_piece
from p2pupd.errors import FetchError, SpaceError, UpdateError
from p2pupd.host.files import NO_SPACE_ERRNOS, sync_directory
from p2pupd.model.release import Artifact

LONG: Final = 512 * 1024
"""Bytes: a write of so many is begun on the disk at once, without waiting for it."""
SYNC_EVERY: Final = 16 * 1024 * 1024
"""Bytes between two syncs: what a power cut can cost, and what the page cache must hold of it."""
LAG: Final = 64 * 1024 * 1024
"""The same of long writes, which are on their way to the disk: so a sync has little to wait for."""


class PieceFile:
    """`DIRECTORY/<pieces root>`. Its writers may be in several threads."""

    def __init__(self, artifact: Artifact, directory: Path) -> None:
        self._artifact = artifact
        self._path = directory / artifact.pieces_root
        self._begun: tuple[int, int] | None = None
        self._unsynced = 0
        self._writing = threading.Lock()

    def complete(self) -> bool:
        """Whether it has the signed length."""
        try:
            return self._path.lstat().st_size == self._artifact.length
        except OSError:
            return False

    def empty(self) -> bool:
        """Whether nothing of it is there."""
        try:
            return self._path.lstat().st_size == 0
        except OSError:
            return True

    def lost(self) -> bool:
        """Whether what was found or written is not there any more."""
        try:
            return self._begun not in (None, _identity(self._path.lstat()))
        except OSError:
            return self._begun is not None

    def search(self, layer: PieceLayer) -> list[bool]:
        """Which pieces are there and right; what is longer than signed is cut off.

        Raises FetchError.
        """
        artifact = self._artifact
        here = [False] * artifact.pieces
        try:
            if self._begun is None and not self._path.exists():
                return here
            with self._opened(os.O_RDWR) as fd:
                if os.fstat(fd).st_size > artifact.length:
                    os.ftruncate(fd, artifact.length)
                for piece in range(artifact.pieces):
                    at = piece * artifact.piece_length
                    if not _hole(fd, at, length_of_piece(artifact, piece)):
                        here[piece] = layer.matches(piece, os.pread(fd, artifact.piece_length, at))
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            raise self._failed("read", error) from error
        return here

    def write(self, piece: int, *content: bytes | memoryview, keep: bool = False) -> bool:
        """Put a piece, and those that follow in `content`, in their places; true when all that is
        there was synced on this occasion. To `keep` it in memory is for what is read again soon.

        Raises SpaceError or FetchError.
        """
        at = piece * self._artifact.piece_length
        length = sum(len(each) for each in content)
        try:
            with self._opened(os.O_WRONLY, make=self._begun is None) as fd:
                with self._writing:
                    _put(fd, content, at)
                    long = length >= LONG
                    self._unsynced += length * SYNC_EVERY // LAG if long else length
                    synced = self._unsynced >= SYNC_EVERY
                    if synced:
                        self._unsynced = 0
                if long:
                    os.posix_fadvise(fd, at, length, os.POSIX_FADV_DONTNEED)
                if synced:
                    self._flush(fd, keep)
                return synced
        except OSError as error:
            raise self._failed("write", error) from error

    def sync(self) -> None:
        """Make all of it durable. Raises SpaceError or FetchError."""
        try:
            with self._opened(os.O_RDONLY) as fd:
                self._flush(fd)
            sync_directory(self._path.parent)
        except OSError as error:
            raise self._failed("write", error) from error

    @contextmanager
    def _opened(self, flags: int, *, make: bool = False) -> Iterator[int]:
        """The file that it always was. Raises OSError or FetchError."""
        flags |= os.O_CREAT if make else 0
        fd = os.open(self._path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            found = _identity(os.fstat(fd))
            self._begun = self._begun or found
            if self._begun != found:
                raise FetchError(f"{self._path} was replaced while it was worked on")
            yield fd
        finally:
            os.close(fd)

    @staticmethod
    def _flush(fd: int, keep: bool = False) -> None:
        """An image must not push out of memory everything else."""
        os.fsync(fd)
        if not keep:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def _failed(self, doing: str, error: OSError) -> UpdateError:
        kind = SpaceError if error.errno in NO_SPACE_ERRNOS else FetchError
        return kind(f"cannot {doing} {self._path}: {error.strerror or error}")


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _put(fd: int, content: Sequence[bytes | memoryview], at: int) -> None:
    """Write all of it, however little the kernel takes at once."""
    views = [memoryview(each) for each in content if each]
    while views:
        written = os.pwritev(fd, views, at)
        at += written
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if views:
            views[0] = views[0][written:]


def _hole(fd: int, at: int, length: int) -> bool:
    """Whether nothing was ever written there. False where the file system cannot tell."""
    try:
        return os.lseek(fd, at, os.SEEK_DATA) >= at + length
    except OSError:
        return os.fstat(fd).st_size <= at
