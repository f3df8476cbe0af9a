"""Reading a p2pupd repository from a medium that nobody vouches for.

Nothing is believed here. What makes reading safe is in host/beneath.py: no link is followed,
nothing but regular files is opened, and every size is checked before a byte is read.
"""

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from p2pupd.core.piece_layer import SUFFIX, layer_length
from p2pupd.errors import (
    ContentError,
    FetchError,
    MetadataError,
    NotARepository,
    ProtocolError,
    SourceGone,
    UnsafeMedia,
)
from p2pupd.feeds.picking import METADATA, TIMESTAMP, picking, timestamp_version
from p2pupd.feeds.settings import MediaSettings
from p2pupd.host import beneath
from p2pupd.host.files import source_error
from p2pupd.model.release import Release
from p2pupd.wire import bundle as wire

ON_STICK: Final = "p2pupd"
TARGETS: Final = "targets"
NOT_ON_STICK: Final = "not-on-stick"
"""The reason of the FetchError for a target that the repository names but does not hold."""

DEEPEST: Final = 16
"""Directories below each other that are looked into for changes."""

READ_AHEAD: Final = 256 * 1024
_ROOT: Final = re.compile(r"[1-9][0-9]{0,8}\.root\.json", re.ASCII)


def read_repository(path: Path, limits: MediaSettings) -> bytes:
    """The encoded bundle of the repository at `path`, or at `path`/p2pupd.

    Raises NotARepository, UnsafeMedia, MetadataError (incomplete or unreadable metadata),
    SourceGone or FetchError.
    """
    try:
        with _metadata(path) as directory:
            files = _collect(directory, limits)
        return wire.encode(wire.Bundle(files))
    except NotARepository as error:
        raise NotARepository(f"{path} holds no p2pupd repository: {error}") from error
    except ProtocolError as error:
        raise UnsafeMedia(f"the metadata at {path} is over a limit: {error}") from error
    except UnsafeMedia as error:
        raise UnsafeMedia(f"the repository at {path} is not safe to read: {error}") from error
    except MetadataError as error:
        raise MetadataError(f"the repository at {path} cannot be used: {error}") from error
    except OSError as error:
        raise source_error(error, f"read the repository at {path}") from error


def open_target(path: Path, release: Release, gone: Callable[[], bool] = lambda: False) -> BinaryIO:
    """The carried file of `release` at that repository, exactly as long as signed.

    Reading from it raises SourceGone once `gone()` is true, or when the medium is pulled.
    Raises UnsafeMedia, ContentError where it is cut off, SourceGone, or FetchError with reason
    `not-on-stick`.
    """
    if gone():
        raise SourceGone(f"{path} was removed")
    shown = f"{path}: {'/'.join(target_names(release))}"
    try:
        fd = _open_beneath(path, target_names(release), shown)
    except FileNotFoundError as error:
        raise FetchError(f"{shown} is not there", reason=NOT_ON_STICK) from error
    try:
        _check_size(fd, release.artifact.length, shown)
    except ContentError:
        os.close(fd)
        raise
    return io.BufferedReader(_Carried(fd, shown, gone), READ_AHEAD)


def read_layer(
    path: Path, release: Release, gone: Callable[[], bool] = lambda: False
) -> bytes | None:
    """The encoded piece layer of `release` at that repository, as long as is right, not believed.

    None where it has none. Raises as `open_target` does.
    """
    if gone():
        raise SourceGone(f"{path} was removed")
    shown = f"{path}: {'/'.join(layer_names(release))}"
    length = layer_length(release.artifact)
    try:
        fd = _open_beneath(path, layer_names(release), shown)
    except FileNotFoundError:
        return None
    with open(fd, "rb", buffering=0) as file:
        _check_size(fd, length, shown)
        try:
            return _read_all(file, length)
        except OSError as error:
            raise source_error(error, f"read {shown}") from error


def layer_names(release: Release) -> tuple[str, ...]:
    """The same as `target_names` for its piece layer, which lies beside it."""
    *directories, name = target_names(release)
    return (*directories, name + SUFFIX)


def target_names(release: Release) -> tuple[str, ...]:
    """Directory names and the file's name, `<sha256>.<basename>`, from the repository's root.

    Raises UnsafeMedia when the target's name would lead elsewhere.
    """
    *directories, name = parts = release.target.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise UnsafeMedia(f"a target's name may not be {release.target[:200]!r}")
    return (TARGETS, *directories, f"{release.artifact.sha256}.{name}")


def fingerprint(path: Path, limits: MediaSettings) -> tuple[object, ...] | None:
    """Something that changes when the repository at `path` does; None while there is none.

    Looks at sizes and times of at most `limits.directory_entries` files, never into them, and no
    deeper than DEEPEST.
    """
    seen: list[object] = []
    try:
        with _repository(path) as repository:
            _look(repository, seen, limits.directory_entries, DEEPEST)
    except (NotARepository, FileNotFoundError):
        return None
    except (UnsafeMedia, OSError) as error:
        return ("unreadable", type(error).__name__, str(error))
    return tuple(seen)


def read_timestamp_version(metadata: int, limits: MediaSettings) -> int | None:
    """The version that timestamp.json in an open metadata directory claims; None without one.

    Raises MetadataError, UnsafeMedia, OSError.
    """
    try:
        raw = read_small(metadata, TIMESTAMP, limits)
    except FileNotFoundError:
        return None
    return timestamp_version(raw)


def read_small(directory: int, name: str, limits: MediaSettings) -> bytes:
    """A metadata file within its limit. Raises UnsafeMedia, FileNotFoundError, OSError."""
    fd = beneath.open_file(directory, name)
    with open(fd, "rb", buffering=0) as file:
        size = os.fstat(fd).st_size
        content = b"" if size > limits.metadata_file else _read_all(file, limits.metadata_file + 1)
    if max(size, len(content)) > limits.metadata_file:
        raise UnsafeMedia(
            f"{name} has {max(size, len(content))} bytes; {limits.metadata_file} are allowed"
        )
    return content


# -- finding ---------------------------------------------------------------------------------------


def _open_beneath(path: Path, names: tuple[str, ...], shown: str) -> int:
    """Raises FileNotFoundError, UnsafeMedia, SourceGone or FetchError."""
    *directories, name = names
    try:
        with _repository(path) as repository, beneath.descended(repository, directories) as last:
            return beneath.open_file(last, name)
    except FileNotFoundError:
        raise
    except NotARepository as error:
        raise SourceGone(f"{path} was removed") from error
    except UnsafeMedia as error:
        raise UnsafeMedia(f"{shown} is not safe to read: {error}") from error
    except OSError as error:
        raise source_error(error, f"open {shown}") from error


@contextmanager
def _repository(path: Path) -> Iterator[int]:
    """The repository's own directory: `path`/p2pupd, or `path` where it has `metadata` itself.

    Raises NotARepository where neither is so.
    """
    with ExitStack() as stack:
        here = _top(path, stack)
        for name in (ON_STICK, METADATA):
            try:
                found = stack.enter_context(beneath.entered(here, name))
            except FileNotFoundError:
                continue
            yield found if name == ON_STICK else here
            return
    raise NotARepository(f"it has neither {ON_STICK}/ nor {METADATA}/")


def _top(path: Path, stack: ExitStack) -> int:
    try:
        return stack.enter_context(beneath.opened(path))
    except FileNotFoundError as error:
        raise NotARepository("there is no such directory") from error
    except NotADirectoryError as error:
        raise NotARepository(
            "it is a file; name the stick, or the repository's directory"
        ) from error


@contextmanager
def _metadata(path: Path) -> Iterator[int]:
    with _repository(path) as repository:
        try:
            found = beneath.enter(repository, METADATA)
        except FileNotFoundError as error:
            raise NotARepository(f"it has no {METADATA}/") from error
        try:
            yield found
        finally:
            os.close(found)


def _look(directory: int, seen: list[object], most: int, depth: int) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            if len(seen) >= most:
                return
            with suppress(FileNotFoundError):
                facts = entry.stat(follow_symlinks=False)
                seen.append((entry.name, facts.st_ino, facts.st_size, facts.st_mtime_ns))
                if depth and entry.is_dir(follow_symlinks=False):
                    with beneath.entered(directory, entry.name) as deeper:
                        _look(deeper, seen, most, depth - 1)


# -- picking ---------------------------------------------------------------------------------------


def _collect(directory: int, limits: MediaSettings) -> dict[str, bytes]:
    """See `picking`."""
    roots = _root_names(directory, limits)
    try:
        timestamp = read_small(directory, TIMESTAMP, limits)
    except FileNotFoundError as error:
        raise NotARepository(f"it has no {METADATA}/{TIMESTAMP}") from error
    wanted = picking(timestamp, roots)
    name = ""
    try:
        name = next(wanted)
        while True:
            name = wanted.send(read_small(directory, name, limits))
    except FileNotFoundError as error:
        raise MetadataError(f"it is incomplete: {METADATA}/{name} is missing") from error
    except StopIteration as end:
        files: dict[str, bytes] = end.value
        return files


def _root_names(directory: int, limits: MediaSettings) -> list[str]:
    names = []
    with os.scandir(directory) as entries:
        for number, entry in enumerate(entries):
            if number >= limits.directory_entries:
                raise UnsafeMedia(f"{METADATA}/ has over {limits.directory_entries} entries")
            if _ROOT.fullmatch(entry.name):
                names.append(entry.name)
    return sorted(names)


# -- reading ---------------------------------------------------------------------------------------


def _read_all(file: io.FileIO, most: int) -> bytes:
    content = bytearray()
    while len(content) < most and (chunk := file.read(most - len(content))):
        content += chunk
    return bytes(content)


def _check_size(fd: int, length: int, shown: str) -> None:
    """A sparse terabyte is refused here, before a byte is read; what is as long as signed is
    bounded by the signature, holes or not. What is shorter was cut off, and nobody's attack."""
    size = os.fstat(fd).st_size
    if size < length:
        raise ContentError(
            f"{shown} is cut off: it has {size} bytes; {length} are signed; write the stick anew",
            reason="cut-off",
        )
    if size != length:
        raise UnsafeMedia(f"{shown} has {size} bytes; {length} are signed")


class _Carried(io.RawIOBase):
    """A file on a medium that may leave at any time."""

    def __init__(self, fd: int, shown: str, gone: Callable[[], bool]) -> None:
        super().__init__()
        self._file = io.FileIO(fd, "rb")
        self._shown = shown
        self._gone = gone
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._asked(lambda: self._file.readinto(buffer) or 0)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._asked(lambda: self._file.seek(offset, whence))

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()

    def _asked(self, step: Callable[[], int]) -> int:
        if self._gone():
            raise SourceGone(f"{self._shown}: the medium was removed")
        try:
            return step()
        except OSError as error:
            raise source_error(error, f"read {self._shown}") from error
