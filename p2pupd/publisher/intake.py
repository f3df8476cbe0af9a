"""Taking an image into a repository: copied and hashed in one pass, under a name that does not
count yet. Beside the copy lies its piece layer, which proves itself by the signed pieces root."""

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

from p2pupd.core.merkle import piece_length_for
from p2pupd.core.piece_layer import SUFFIX, LayerBuilder
from p2pupd.errors import HostError, SpaceError, UsageError
from p2pupd.host.files import (
    free_bytes,
    host_error,
    make_directory,
    sync_directory,
    write_durably,
)
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
    layer: bytes

    def place(self, final: Path) -> None:
        """Rename it to `final`, durably, its layer beside it. Raises HostError or SpaceError."""
        make_directory(final.parent)
        write_durably(final.with_name(final.name + SUFFIX), self.layer)
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
                artifact, layer = _copy(source, target, length, progress)
            if artifact.length != length:
                raise HostError(f"{image} changed while it was read; try again")
            yield Incoming(path, artifact, layer)


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


def _copy(
    source: io.FileIO, target: BinaryIO, length: int, progress: Progress
) -> tuple[Artifact, bytes]:
    """The artifact and its encoded layer; they count only if `length` bytes came."""
    piece_length = piece_length_for(length)
    whole, pieces, done = hashlib.sha256(), LayerBuilder(piece_length), 0
    buffer = memoryview(bytearray(CHUNK))
    while count := source.readinto(buffer):
        chunk = buffer[:count]
        whole.update(chunk)
        pieces.update(chunk)
        target.write(chunk)
        done += count
        progress(done)
    target.flush()
    os.fchmod(target.fileno(), PUBLIC)
    os.fsync(target.fileno())
    root = Sha256(pieces.root().hex())
    return Artifact(done, Sha256(whole.hexdigest()), root, piece_length), pieces.layer()


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
