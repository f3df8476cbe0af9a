"""Writing a stick from what this device has accepted and carries: any device can make one.

The stick is as little trusted when written as when read: a link on it is never followed. Targets
come first and the timestamp last, each durable before the next, so that a stick that was pulled
too early names nothing that it lacks. Beside each target lies its piece layer, copied where this
device has it, else computed; a stick without works too, so nothing fails for want of one.
"""

import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from p2pupd.core.piece_layer import SUFFIX, LayerBuilder, PieceLayer, layer_length
from p2pupd.errors import (
    ContentError,
    HostError,
    MetadataError,
    NothingToDo,
    SourceGone,
    SpaceError,
    UnsafeMedia,
    UsageError,
)
from p2pupd.feeds.picking import METADATA, TIMESTAMP, timestamp_version
from p2pupd.feeds.repository import (
    ON_STICK,
    layer_names,
    read_small,
    read_timestamp_version,
    target_names,
)
from p2pupd.feeds.settings import MediaSettings
from p2pupd.host import beneath
from p2pupd.host.files import GONE_ERRNOS, host_error, read_bounded
from p2pupd.model.release import Release
from p2pupd.wire import bundle as wire

log = logging.getLogger(__name__)

ExportProgress = Callable[[Release, int], None]
"""(release, bytes of its carried file that are on the stick)."""

CHUNK: Final = 1024 * 1024
FILE_SLACK: Final = 64 * 1024
"""Bytes that a file may cost on a stick beyond its length: clusters, directory entries."""

FIRST_ROOT: Final = "1.root.json"
_LAST_WRITTEN: Final = ("targets", "snapshot", "timestamp")


def export_to(
    path: Path,
    bundle: bytes,
    contents: Sequence[tuple[Release, Path]],
    progress: ExportProgress,
    limits: MediaSettings | None = None,
) -> None:
    """Write `path`/p2pupd from an accepted bundle and the files of the releases carried.

    Blocks. Raises SpaceError before anything is written; NothingToDo when the stick holds newer
    metadata, or all of this already; UsageError when it belongs to another fleet; UnsafeMedia when
    there is a link where a directory should be; ContentError when a carried file is damaged;
    SourceGone when the stick was pulled; HostError.
    """
    files = wire.decode(bundle).files
    try:
        with ExitStack() as stack:
            top = stack.enter_context(beneath.opened(path))
            current = _compare(top, files, limits or MediaSettings(), path)
            missing = [each for each in contents if not _holds(top, each[0], progress)]
            layers = [
                (each[0], layer)
                for each in contents
                if each not in missing and (layer := _layer_wanted(top, *each))
            ]
            if current and not missing and not layers:
                raise NothingToDo(f"{path} holds all of this already")
            _check_space(top, files, missing, path)
            repository = stack.enter_context(beneath.entered(top, ON_STICK, create=True))
            written = sum(_write_target(repository, *each, progress) for each in missing)
            for each in layers:
                _write_layer(repository, *each)
            with beneath.entered(repository, METADATA, create=True) as metadata:
                for name in sorted(files, key=_order):
                    beneath.write_file(metadata, name, [files[name]])
    except OSError as error:
        if error.errno in GONE_ERRNOS:
            raise SourceGone(f"{path} was removed while it was written: {error}") from error
        raise host_error(error, f"write to {path}") from error
    log.info("stick.written path=%s releases=%d bytes=%d", path, len(contents), written)


def _compare(top: int, files: Mapping[str, bytes], limits: MediaSettings, path: Path) -> bool:
    """Whether the stick's metadata is this very one. Raises NothingToDo, UsageError, UnsafeMedia.

    The versions are compared without believing them: at worst a liar keeps its own stick.
    """
    try:
        with beneath.descended(top, (ON_STICK, METADATA)) as metadata:
            there = read_timestamp_version(metadata, limits)
            if there is None:
                return False
            root = read_small(metadata, FIRST_ROOT, limits)
            if FIRST_ROOT in files and root != files[FIRST_ROOT]:
                raise UsageError(
                    f"{path} holds the releases of another fleet; use another stick, or remove "
                    f"{path / ON_STICK} first",
                    reason="another-fleet",
                )
            ours = timestamp_version(files[TIMESTAMP])
            if there > ours:
                raise NothingToDo(
                    f"{path} holds newer metadata (version {there}) than this device ({ours}); "
                    "it was left as it is",
                    reason="stick-is-newer",
                )
            return read_small(metadata, TIMESTAMP, limits) == files[TIMESTAMP]
    except FileNotFoundError:
        return False
    except MetadataError as error:
        log.warning("stick.unreadable path=%s error=%s: written anew", path, error)
        return False


def _holds(top: int, release: Release, progress: ExportProgress) -> bool:
    """Whether the stick has the carried file already, every byte of it."""
    *directories, name = target_names(release)
    try:
        with beneath.descended(top, (ON_STICK, *directories)) as last:
            fd = beneath.open_file(last, name)
    except FileNotFoundError:
        return False
    digest = hashlib.sha256()
    with open(fd, "rb", buffering=0) as file:
        if os.fstat(fd).st_size != release.artifact.length:
            return False
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != release.artifact.sha256:
        return False
    progress(release, release.artifact.length)
    return True


def _check_space(
    top: int, files: Mapping[str, bytes], missing: Sequence[tuple[Release, Path]], path: Path
) -> None:
    facts = os.fstatvfs(top)
    free = facts.f_bavail * facts.f_frsize
    artifacts = [release.artifact for release, _ in missing]
    payload = sum(each.length + layer_length(each) for each in artifacts)
    metadata = sum(map(len, files.values()))
    needed = payload + metadata + FILE_SLACK * (2 * len(missing) + 1)
    if free < needed:
        raise SpaceError(
            f"{path} has {free} bytes free and {needed} are needed; nothing was written. Free "
            "some, or use a larger stick"
        )


def _write_target(
    repository: int, release: Release, content: Path, progress: ExportProgress
) -> int:
    *directories, name = target_names(release)
    layer = _layer_beside(content, release)
    computed = LayerBuilder(release.artifact.piece_length) if layer is None else None
    with beneath.descended(repository, directories, create=True) as last:
        beneath.write_file(last, name, _checked(release, content, progress, computed))
    layer = _proved(release, computed.layer()) if computed else layer
    if layer is not None:
        _write_layer(repository, release, layer)
    return release.artifact.length


def _write_layer(repository: int, release: Release, layer: bytes) -> None:
    *directories, name = layer_names(release)
    with beneath.descended(repository, directories, create=True) as last:
        beneath.write_file(last, name, [layer])


def _layer_wanted(top: int, release: Release, content: Path) -> bytes | None:
    """The proved layer of a target that is on the stick already, unless it is there too."""
    *directories, name = layer_names(release)
    try:
        with beneath.descended(top, (ON_STICK, *directories)) as last:
            fd = beneath.open_file(last, name)
        with open(fd, "rb") as file:
            if _proved(release, file.read(layer_length(release.artifact) + 1)):
                return None
    except (FileNotFoundError, UnsafeMedia):
        pass
    layer = _layer_beside(content, release)
    if layer is None:
        computed = LayerBuilder(release.artifact.piece_length)
        with suppress(ContentError, HostError):
            deque(_checked(release, content, lambda *_: None, computed), maxlen=0)
            layer = _proved(release, computed.layer())
    return layer


def _layer_beside(content: Path, release: Release) -> bytes | None:
    """The proved layer that lies beside a carried file; None where none does."""
    path = content.with_name(content.name + SUFFIX)
    try:
        return _proved(release, read_bounded(path, layer_length(release.artifact)))
    except HostError:
        return None


def _proved(release: Release, layer: bytes) -> bytes | None:
    try:
        return PieceLayer.proved(release.artifact, layer).hashes
    except ContentError as error:
        log.warning("layer.wrong release=%s error=%s", release.label, error)
        return None


def _checked(
    release: Release, content: Path, progress: ExportProgress, computed: LayerBuilder | None
) -> Iterator[bytes]:
    """The carried file in chunks, each given to `computed`, if any.

    Ends with ContentError where it is not what was signed.
    """
    artifact = release.artifact
    digest = hashlib.sha256()
    done = 0
    try:
        with open(content, "rb", buffering=0) as file:
            while done < artifact.length:
                chunk = file.read(min(CHUNK, artifact.length - done))
                if not chunk:
                    break
                digest.update(chunk)
                if computed:
                    computed.update(chunk)
                yield chunk
                done += len(chunk)
                progress(release, done)
    except OSError as error:
        raise HostError(f"cannot read {content}: {error.strerror}") from error
    if digest.hexdigest() != artifact.sha256:
        raise ContentError(f"{content} is not what was signed for {release.label}")


def _order(name: str) -> tuple[int, str]:
    """Roots and delegated targets first, the timestamp last."""
    role = name.removesuffix(".json").split(".")[-1]
    return (_LAST_WRITTEN.index(role) if role in _LAST_WRITTEN else -1, name)
