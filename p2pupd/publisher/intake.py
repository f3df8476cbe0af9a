"""Taking an image into a repository: copied and hashed in one pass, under a name that does not
count yet."""

import fcntl
import hashlib
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from p2pupd.core.merkle import PiecesRoot, piece_length_for
from p2pupd.errors import HostError, SpaceError, UsageError
from p2pupd.host.files import free_bytes, host_error, make_directory, sync_directory
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact
from p2pupd.publisher.repository import locked

CHUNK: Final = 1024 * 1024
INCOMING: Final = ".incoming-"
PUBLIC: Final = 0o644

Progress = Callable[[int], None]
"""Told the bytes done so far, now and then."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A copy that is complete, durable and has no name yet: `place` gives it one."""

    path: Path
    artifact: Artifact

    def place(self, final: Path) -> None:
        """Rename it to `final`, durably. Raises HostError or SpaceError."""
        make_directory(final.parent)
        with _explained(f"write {final}"):
            os.replace(self.path, final)
            sync_directory(final.parent)


@contextmanager
def take_in(image: Path, directory: Path, progress: Progress) -> Iterator[Incoming]:
    """`image`, copied into `directory` and hashed; the copy is gone at the end unless placed.

    What a killed run left there is removed first. Raises UsageError (empty, no regular file),
    HostError (unreadable, changed meanwhile) or SpaceError.
    """
    make_directory(directory)
    with _opened(image) as source:
        length = os.fstat(source.fileno()).st_size
        room = free_bytes(directory)
        if room < length:
            raise SpaceError(f"{directory} has room for {room} bytes; {image} has {length}")
        with _unnamed(directory) as (target, path):
            with _explained(f"copy {image} into {directory}"):
                artifact = _copy(source, target, progress)
            if artifact.length != length:
                raise HostError(f"{image} changed while it was read; try again")
            yield Incoming(path, artifact)


def length_of(image: Path) -> int:
    """The length of a file that can be taken in; errors as `take_in`."""
    with _opened(image) as source:
        return os.fstat(source.fileno()).st_size


@contextmanager
def _opened(image: Path) -> Iterator[io.FileIO]:
    with _explained(f"read {image}"):
        if not stat.S_ISREG(image.stat().st_mode):
            raise UsageError(f"{image} is no regular file", reason="not-a-file")
        fd = os.open(image, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb", buffering=0) as file:
        if os.fstat(fd).st_size == 0:
            raise UsageError(f"{image} is empty", reason="empty-image")
        yield file


def _copy(source: io.FileIO, target: BinaryIO, progress: Progress) -> Artifact:
    whole, root, done = hashlib.sha256(), PiecesRoot(), 0
    buffer = memoryview(bytearray(CHUNK))
    while count := source.readinto(buffer):
        chunk = buffer[:count]
        whole.update(chunk)
        root.update(chunk)
        target.write(chunk)
        done += count
        progress(done)
    target.flush()
    os.fchmod(target.fileno(), PUBLIC)
    os.fsync(target.fileno())
    return Artifact(
        done, Sha256(whole.hexdigest()), Sha256(root.digest().hex()), piece_length_for(done)
    )


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise host_error(error, doing) from error


@contextmanager
def _unnamed(directory: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file that does not count yet: locked while its run lives, gone afterwards."""
    with ExitStack() as stack:
        with locked(directory):
            _sweep(directory)
            with _explained(f"write into {directory}"):
                fd, name = tempfile.mkstemp(prefix=INCOMING, dir=directory)
            target = stack.enter_context(open(fd, "wb"))
            fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            yield target, Path(name)
        finally:
            Path(name).unlink(missing_ok=True)


def _sweep(directory: Path) -> None:
    """Remove the copies of runs that were killed: nobody holds their lock any more."""
    for left in directory.glob(f"{INCOMING}*"):
        try:
            with open(left, "rb") as file:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink(missing_ok=True)
        except (BlockingIOError, FileNotFoundError):
            continue
