"""Write an image to a file or block device and read it back from the medium. Blocking."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from p2pupd.delta.interface import Zeros
from p2pupd.errors import InstallError, SpaceError
from p2pupd.host.files import NO_SPACE_ERRNOS, sync_directory
from p2pupd.install.image import CHUNK
from p2pupd.install.zeros import leave_zeros

DIFFERS: Final = "read-back-differs"
"""The reason when the medium does not return what was signed."""
FILE_MODE: Final = 0o600
_ALLOCATED_UNIT: Final = 512


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bytes that a slot can take: a device has a `size`; a file grows, and `free` is the room."""

    size: int | None
    free: int | None


@dataclass(frozen=True, slots=True)
class WriteJob:
    """What to write: `length` bytes whose SHA-256 is `sha256` (hex).

    At most `dirty_limit` bytes wait for the medium. `progress` hears the bytes written so far.
    When `stop` is set, the job ends early with InstallError.
    """

    length: int
    sha256: str
    dirty_limit: int
    progress: Callable[[int], object]
    stop: Event

    def go_on(self) -> None:
        """Raises InstallError once the job is to stop."""
        if self.stop.is_set():
            raise InstallError("writing the slot was stopped", reason="stopped")


def capacity(path: Path) -> Capacity:
    """How much fits. Raises InstallError when the device cannot be looked at.

    What a file already occupies counts as free: it is overwritten.
    """
    try:
        status = os.stat(path) if path.exists() else None
        if status is not None and stat.S_ISBLK(status.st_mode):
            return Capacity(_device_size(path), None)
        room = os.statvfs(path.parent)
    except OSError as error:
        raise _failed(error, f"measure the slot {path}") from error
    used = 0 if status is None else status.st_blocks * _ALLOCATED_UNIT
    return Capacity(None, room.f_bavail * room.f_frsize + used)


def refuse_too_large(path: Path, length: int) -> None:
    """Raises InstallError if a device is too small, SpaceError if the disk under a file is."""
    room = capacity(path)
    if room.size is not None and length > room.size:
        raise InstallError(
            f"the image has {length} bytes, the slot {path} holds {room.size}",
            reason="slot-too-small",
        )
    if room.free is not None and length > room.free:
        raise SpaceError(
            f"the image has {length} bytes, the disk under the slot {path} has {room.free} free"
        )


def write_and_verify(path: Path, chunks: Iterable[memoryview | Zeros], job: WriteJob) -> None:
    """Write, sync, forget the cached pages, and compare the digest of what the medium returns.

    A block device is opened exclusively, so the kernel refuses one that anything uses. Raises
    InstallError, SpaceError, or what `chunks` raises; the slot then holds rubbish.
    """
    try:
        fd, is_device = _open(path)
        try:
            _write(fd, chunks, job, is_device=is_device)
            if not is_device:
                os.ftruncate(fd, job.length)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            found = _digest(fd, job)
        finally:
            os.close(fd)
        if not is_device:
            sync_directory(path.parent)
    except OSError as error:
        raise _failed(error, f"write the slot {path}") from error
    if found != job.sha256:
        raise InstallError(
            f"the slot {path} returns other bytes than were written (SHA-256 {found}, "
            f"signed {job.sha256}): the medium may be worn out",
            reason=DIFFERS,
        )


def _open(path: Path) -> tuple[int, bool]:
    if path.is_block_device():
        return os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC), True
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE), False


def _write(
    fd: int, chunks: Iterable[memoryview | Zeros], job: WriteJob, *, is_device: bool
) -> None:
    done = synced = 0
    for chunk in chunks:
        job.go_on()
        length = chunk.length if isinstance(chunk, Zeros) else len(chunk)
        if done + length > job.length:
            raise InstallError(f"the image is longer than its signed {job.length} bytes")
        if isinstance(chunk, Zeros):
            for zeroed in leave_zeros(fd, done, length, is_device=is_device):
                job.go_on()
                job.progress(done + zeroed)
        else:
            _write_all(fd, chunk, done)
        done += length
        if done - synced >= job.dirty_limit:
            os.fdatasync(fd)
            synced = done
        job.progress(done)
    if done != job.length:
        raise InstallError(f"the image ends after {done} of its signed {job.length} bytes")


def _write_all(fd: int, chunk: memoryview, offset: int) -> None:
    while chunk:
        count = os.pwrite(fd, chunk, offset)
        chunk, offset = chunk[count:], offset + count


def _digest(fd: int, job: WriteJob) -> str:
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK))
    offset = 0
    while offset < job.length:
        job.go_on()
        count = os.preadv(fd, [buffer[: job.length - offset]], offset)
        if count == 0:
            break
        digest.update(buffer[:count])
        offset += count
    return digest.hexdigest()


def _device_size(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)


def _failed(error: OSError, doing: str) -> InstallError | SpaceError:
    kind = SpaceError if error.errno in NO_SPACE_ERRNOS else InstallError
    about = f" ({error.filename})" if error.filename else ""
    return kind(f"cannot {doing}: {error.strerror or error}{about}")
