"""An artifact's file that fills up piece by piece, in any order, and how much of it is there.

Nothing is noted about single pieces: after a start what is on disk is hashed again and compared
with the piece layer. So a kill at any moment loses at most what was just being written. All methods
block.
"""

import os
from pathlib import Path
from typing import Final

from p2pupd.core.piece_layer import PieceLayer, length_of_piece
from p2pupd.errors import FetchError, SpaceError, UpdateError
from p2pupd.host.files import NO_SPACE_ERRNOS, sync_directory
from p2pupd.model.release import Artifact

SYNC_EVERY: Final = 16 * 1024 * 1024
"""Bytes between two syncs: what a power cut can cost, and what the page cache must hold of it."""


class PieceFile:
    """`DIRECTORY/<pieces root>`. Its writers may be in several threads."""

    def __init__(self, artifact: Artifact, directory: Path) -> None:
        self._artifact = artifact
        self._path = directory / artifact.pieces_root
        self._unsynced = 0

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

    def search(self, layer: PieceLayer) -> list[bool]:
        """Which pieces are there and right; what is longer than signed is cut off.

        Raises FetchError.
        """
        artifact = self._artifact
        here = [False] * artifact.pieces
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return here
        except OSError as error:
            raise self._failed("read", error) from error
        try:
            if os.fstat(fd).st_size > artifact.length:
                os.ftruncate(fd, artifact.length)
            for piece in range(artifact.pieces):
                at = piece * artifact.piece_length
                if not _hole(fd, at, length_of_piece(artifact, piece)):
                    here[piece] = layer.matches(piece, os.pread(fd, artifact.piece_length, at))
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            raise self._failed("read", error) from error
        finally:
            os.close(fd)
        return here

    def write(self, piece: int, *content: bytes | memoryview, keep: bool = False) -> bool:
        """Put a piece, and those that follow in `content`, in their places; true when all that is
        there was synced on this occasion. To `keep` it in memory is for what is read again soon.

        Raises SpaceError or FetchError.
        """
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            try:
                at = piece * self._artifact.piece_length
                length = sum(len(each) for each in content)
                written = os.pwritev(fd, content, at)
                view = memoryview(b"".join(content) if written < length else b"")[written:]
                while view:
                    at, view = at + written, view[written:]
                    written = os.pwrite(fd, view, at)
                self._unsynced += length
                synced = self._unsynced >= SYNC_EVERY
                if synced:
                    self._flush(fd, keep)
                return synced
            finally:
                os.close(fd)
        except OSError as error:
            raise self._failed("write", error) from error

    def sync(self) -> None:
        """Make all of it durable. Raises SpaceError or FetchError."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                self._flush(fd)
            finally:
                os.close(fd)
            sync_directory(self._path.parent)
        except OSError as error:
            raise self._failed("write", error) from error

    def _flush(self, fd: int, keep: bool = False) -> None:
        """An image must not push out of memory everything else."""
        self._unsynced = 0
        os.fsync(fd)
        if not keep:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def _failed(self, doing: str, error: OSError) -> UpdateError:
        kind = SpaceError if error.errno in NO_SPACE_ERRNOS else FetchError
        return kind(f"cannot {doing} {self._path}: {error.strerror or error}")


def _hole(fd: int, at: int, length: int) -> bool:
    """Whether nothing was ever written there. False where the file system cannot tell."""
    try:
        return os.lseek(fd, at, os.SEEK_DATA) >= at + length
    except OSError:
        return os.fstat(fd).st_size <= at
