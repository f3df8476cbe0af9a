"""Taking an image into a repository: packed or copied, and hashed, under a name that does not count
yet. Beside what is carried lies its piece layer, which proves itself by the signed pieces root."""

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

from p2pupd.core.merkle import piece_length_for, piece_length_of_pack
from p2pupd.core.piece_layer import SUFFIX, LayerBuilder
from p2pupd.delta.files import OpenFile
from p2pupd.delta.interface import Progress
from p2pupd.errors import HostError, SpaceError, UsageError
from p2pupd.host.files import (
    free_bytes,
    host_error,
    make_directory,
    sync_directory,
    write_durably,
)
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact, ArtifactFormat, Image
from p2pupd.publisher.packing import Packing, pack_into
from p2pupd.publisher.repository import locked

CHUNK: Final = 1024 * 1024
INCOMING: Final = ".incoming-"
PUBLIC: Final = 0o644


@dataclass(frozen=True, slots=True)
class Carried:
    """What a target is: the file that travels, and the image that is installed."""

    format: ArtifactFormat
    artifact: Artifact
    image: Image


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that is complete, durable and has no name yet: `place` gives it one."""

    path: Path
    carried: Carried
    layer: bytes

    def place(self, final: Path) -> None:
        """Rename it to `final`, durably, its layer beside it. Raises HostError or SpaceError."""
        make_directory(final.parent)
        write_durably(final.with_name(final.name + SUFFIX), self.layer)
        with _explained(f"write {final}"):
            os.replace(self.path, final)
            sync_directory(final.parent)


@contextmanager
def take_in(
    image: Path, directory: Path, packing: Packing, progress: Progress
) -> Iterator[Incoming]:
    """`image`, packed or copied into `directory` and hashed; gone at the end unless placed.

    What a killed run left there is removed first. `progress` hears the bytes of the image. Raises
    UsageError (empty, no regular file), HostError (unreadable, changed meanwhile), SpaceError, or
    PackError (no pack can hold it).
    """
    make_directory(directory)
    with _opened(image) as source:
        length = os.fstat(source.fileno()).st_size
        room = free_bytes(directory)
        if room < length:
            raise SpaceError(f"{directory} has room for {room} bytes; {image} has {length}")
        with _unnamed(directory) as (target, path):
            with _explained(f"write {image} into {directory}"):
                opened = OpenFile(image, source.fileno(), length)
                with tempfile.TemporaryFile(dir=directory) as spool:
                    packed = pack_into(opened, target, spool, packing, progress)
                if packed is None:
                    _copy(opened, target, progress)
                carried, layer = _carried(target, packed)
            if (carried.image.length, os.fstat(source.fileno()).st_size) != (length, length):
                raise HostError(f"{image} changed while it was read; try again")
            yield Incoming(path, carried, layer)


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


def _carried(target: BinaryIO, packed: Image | None) -> tuple[Carried, bytes]:
    """What lies in `target` now, durably, and its encoded layer."""
    target.flush()
    os.fchmod(target.fileno(), PUBLIC)
    os.fsync(target.fileno())
    if packed is not None:
        artifact, layer = _hashed(target, piece_length_of_pack)
        return Carried(ArtifactFormat.PACK1, artifact, packed), layer
    artifact, layer = _hashed(target, piece_length_for)
    same = Image(artifact.length, artifact.sha256)
    return Carried(ArtifactFormat.RAW, artifact, same), layer


def _copy(image: OpenFile, target: BinaryIO, progress: Progress) -> None:
    """Instead of whatever is in `target`."""
    target.seek(0)
    target.truncate()
    done = 0
    while chunk := image.read_at(done, CHUNK):
        target.write(chunk)
        done += len(chunk)
        progress(done)


def _hashed(file: BinaryIO, rule: Callable[[int], int]) -> tuple[Artifact, bytes]:
    """The artifact that `file` is, and its encoded layer; its length decides on the pieces'."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    whole, pieces = hashlib.sha256(), LayerBuilder(rule(length))
    while chunk := file.read(CHUNK):
        whole.update(chunk)
        pieces.update(chunk)
    root = Sha256(pieces.root().hex())
    return Artifact(length, Sha256(whole.hexdigest()), root, rule(length)), pieces.layer()


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
            target = stack.enter_context(open(fd, "w+b"))
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
