"""Copying a carried file into the store, hashing on the way, and hashing what is there."""

import hashlib
import io
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from p2pupd.errors import ContentError, FetchError
from p2pupd.host.files import host_error, source_error, sync_directory
from p2pupd.model.release import Artifact
from p2pupd.store.interface import CopyProgress

log = logging.getLogger(__name__)

CHUNK: Final = 1024 * 1024
"""Bytes per read."""

SYNC_EVERY: Final = 32 * 1024 * 1024
"""Bytes between two fdatasyncs: what a power cut can cost, and what the page cache must hold."""


def copy_verified(
    path: Path,
    artifact: Artifact,
    source: BinaryIO,
    progress: CopyProgress,
    proved: Sequence[bool] = (),
) -> None:
    """Fill `path` from the source until its SHA-256 is the signed one; durable on return.

    What is in `path` already, up to its first hole, is hashed and not copied again. Should the
    digest then be wrong, that start is given up and everything is copied once more. Pieces that are
    `proved` are written over only by a source whose digest is right.
    Raises ContentError, SourceGone or FetchError (what was copied stays), HostError, SpaceError.
    """
    with _opened(path) as target:
        kept = _first_hole(target.fileno(), artifact.length)
        right, spared = _attempt(target, source, artifact, progress, kept=kept, proved=proved)
        if not right and kept:
            log.warning("store.start-over path=%s kept=%d", path, kept)
            right, spared = _attempt(target, source, artifact, progress, kept=0, proved=proved)
        if right and spared:
            right, _ = _attempt(target, source, artifact, progress, kept=0, proved=())
    if not right:
        raise ContentError(
            f"{artifact.length} bytes were copied and their SHA-256 is not the signed "
            f"{artifact.sha256}: the source is damaged or was tampered with; use another one"
        )
    try:
        sync_directory(path.parent)
    except OSError as error:
        raise host_error(error, f"write {path}") from error


def check_length(source: BinaryIO, artifact: Artifact) -> None:
    """Before a byte is read, where the source can tell. Raises ContentError or SourceGone."""
    if not source.seekable():
        return
    length = _read(lambda: source.seek(0, os.SEEK_END))
    if length != artifact.length:
        raise ContentError(
            f"the source has {length} bytes and {artifact.length} are signed: it is damaged or "
            "was tampered with; use another one"
        )


def _opened(path: Path) -> io.FileIO:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise host_error(error, f"write {path}") from error
    return io.FileIO(fd, "r+")


def _first_hole(fd: int, length: int) -> int:
    """How many bytes from the start have been written: what an interrupted copy has left.

    A transfer by the swarm leaves holes; only what is before the first one is used.
    """
    present = min(os.fstat(fd).st_size, length)
    if present == 0:
        return 0
    try:
        return min(os.lseek(fd, 0, os.SEEK_HOLE), present)
    except OSError:
        return present


def _attempt(
    target: io.FileIO,
    source: BinaryIO,
    artifact: Artifact,
    progress: CopyProgress,
    *,
    kept: int,
    proved: Sequence[bool],
) -> tuple[bool, bool]:
    """Whether the bytes, `kept` of them from the target and the rest from the source, are right;
    and whether the target has others, in pieces that are `proved` there."""
    spared = False
    if not source.seekable():
        kept, proved = 0, ()
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK))
    _hash(target, kept, digest.update, buffer)
    if source.seekable():
        _read(lambda: source.seek(kept))
    progress(kept)
    done = synced = kept
    while done < artifact.length:
        count = _next(source, buffer[: min(CHUNK, artifact.length - done)])
        if count == 0:
            raise ContentError(f"the source ends after {done} of {artifact.length} signed bytes")
        digest.update(buffer[:count])
        spared |= _spare(target, buffer[:count], done, artifact, proved)
        _write(target, buffer[:count])
        done += count
        if done - synced >= SYNC_EVERY or done == artifact.length:
            _flush(target, synced, done)
            synced = done
        progress(done)
    return digest.hexdigest() == artifact.sha256, spared


def _spare(
    target: io.FileIO, chunk: memoryview, start: int, artifact: Artifact, proved: Sequence[bool]
) -> bool:
    """Put what is proved in the target into the `chunk` for byte `start`; whether it differs."""
    size, end, spared = artifact.piece_length, start + len(chunk), False
    for piece in range(start // size, -(-end // size)):
        if piece < len(proved) and proved[piece]:
            first, last = max(start, piece * size), min(end, (piece + 1) * size)
            own = os.pread(target.fileno(), last - first, first)
            if len(own) == last - first and own != chunk[first - start : last - start]:
                chunk[first - start : last - start] = own
                spared = True
    return spared


def _read(step: Callable[[], int]) -> int:
    try:
        return step()
    except OSError as error:
        raise source_error(error, "read from the source") from error


def _next(source: BinaryIO, buffer: memoryview) -> int:
    if isinstance(source, io.BufferedIOBase | io.RawIOBase):
        count = _read(lambda: source.readinto(buffer) or 0)
    else:
        chunk = b""

        def step() -> int:
            nonlocal chunk
            chunk = source.read(len(buffer))
            return len(chunk)

        count = _read(step)
        buffer[:count] = chunk
    return count


def _write(target: io.FileIO, chunk: memoryview) -> None:
    try:
        while chunk:
            chunk = chunk[target.write(chunk) :]
    except OSError as error:
        raise host_error(error, f"write {target.name}") from error


def _flush(target: io.FileIO, start: int, end: int) -> None:
    """Make it durable, and let go of its pages: an image must not push out everything else."""
    try:
        os.fdatasync(target.fileno())
        os.posix_fadvise(target.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)
    except OSError as error:
        raise host_error(error, "write the copy to the disk") from error


def _hash(
    file: io.FileIO, length: int, update: Callable[[memoryview], None], buffer: memoryview
) -> None:
    """Feed the first `length` bytes of `file`, and stand behind them."""
    done = 0
    try:
        file.seek(0)
        while done < length:
            count = file.readinto(buffer[: min(len(buffer), length - done)])
            if not count:
                raise FetchError("a file in the store became shorter while it was read")
            update(buffer[:count])
            done += count
    except OSError as error:
        raise host_error(error, "read from the store") from error


def whole_digest(path: Path) -> tuple[int, str]:
    """(length, SHA-256 in hex) of a file in the store, made durable first. Raises HostError."""
    digest = hashlib.sha256()
    try:
        with io.FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as file:
            os.fsync(file.fileno())
            length = os.fstat(file.fileno()).st_size
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            _hash(file, length, digest.update, memoryview(bytearray(CHUNK)))
    except OSError as error:
        raise host_error(error, f"read {path}") from error
    return length, digest.hexdigest()
