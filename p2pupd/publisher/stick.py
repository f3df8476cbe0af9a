"""Writing a stick from a repository: what a site needs, and nothing of the past."""

import errno
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pupd.errors import ContentError, ExpiredError, NothingToDo, SpaceError, UsageError
from p2pupd.feeds.picking import METADATA
from p2pupd.feeds.repository import ON_STICK, TARGETS, layer_names, target_names
from p2pupd.feeds.stick import ExportProgress, export_to
from p2pupd.host import beneath
from p2pupd.host.files import host_error
from p2pupd.model.release import Release
from p2pupd.publisher.repository import TOP_ROLES, Repository
from p2pupd.wire import bundle as wire

log = logging.getLogger(__name__)

NOTHING: Final = NothingToDo.default_reason
PROBE: Final = ".p2pupd-probe"


@dataclass(frozen=True, slots=True)
class Exported:
    """What is on the stick now, and how many files of the past were removed from it."""

    releases: tuple[Release, ...]
    removed: int
    unchanged: bool


def select(
    releases: Sequence[Release], components: frozenset[str] = frozenset(), *, every: bool = False
) -> tuple[Release, ...]:
    """The releases that belong on a stick: of `components` only, unless that is empty.

    Unless `every`, of each component and set of hardware the latest, its stepping stones, and
    releases that are a signed way back. Raises UsageError for a component that has no release.
    """
    unknown = components - {each.component for each in releases}
    if unknown:
        raise UsageError(f"there is no release of {', '.join(sorted(unknown))} here")
    wanted = [each for each in releases if not components or each.component in components]
    if every:
        return tuple(wanted)
    groups: dict[tuple[str, frozenset[str]], list[Release]] = {}
    for each in wanted:
        groups.setdefault((each.component, frozenset(each.hardware_ids)), []).append(each)
    chosen = {each.target for group in groups.values() for each in _needed(group)}
    return tuple(each for each in wanted if each.target in chosen)


def _needed(group: list[Release]) -> list[Release]:
    latest: Release | None = max(group, key=lambda each: each.release)
    needed = [each for each in group if each.rollback_from]
    while latest is not None:
        needed.append(latest)
        latest = _stepping_stone(group, latest)
    return needed


def _stepping_stone(group: list[Release], release: Release) -> Release | None:
    """The latest release before `release` that reaches its `min_release` from further below."""
    least = release.min_release or 0
    steps = [
        each
        for each in group
        if least <= each.release < release.release and (each.min_release or 0) < least
    ]
    return max(steps, key=lambda each: each.release, default=None)


def export(
    repository: Repository,
    stick: Path,
    releases: Sequence[Release],
    progress: ExportProgress,
    now: int,
) -> Exported:
    """Write `stick`/p2pupd: the current metadata and the files of `releases`, targets first.

    What no longer belongs there is removed at the end. `now` is Unix seconds. Before anything is
    written it raises ExpiredError when devices would refuse the metadata, SpaceError when it does
    not fit, NothingToDo when the stick is newer than the repository, UsageError when it is another
    fleet's or no directory, ContentError when the file of a release is not here. UnsafeMedia for
    links on the stick; SourceGone, HostError.
    """
    if not stick.is_dir():
        raise UsageError(f"{stick} is no directory; name the stick where it is mounted")
    _check_fresh(repository, now)
    _check_files(repository, releases)
    if releases:
        check_file_size(stick, max(each.artifact.length for each in releases))
    files = repository.current_files()
    contents = [(each, repository.directory.joinpath(*target_names(each))) for each in releases]
    unchanged = False
    try:
        export_to(stick, wire.encode(wire.Bundle(files)), contents, progress)
    except NothingToDo as nothing:
        if nothing.reason != NOTHING:
            raise
        unchanged = True
    belong = {"/".join(names(each)) for each in releases for names in (target_names, layer_names)}
    belong |= {f"{METADATA}/{name}" for name in files}
    return Exported(tuple(releases), _remove_others(stick, belong), unchanged)


def _check_fresh(repository: Repository, now: int) -> None:
    for role in (*TOP_ROLES, *repository.lines):
        expires = repository.role(role).signed.expires
        if expires.timestamp() <= now:
            raise ExpiredError(
                f"{role}.json of {repository.directory} expired on {expires:%Y-%m-%d}; sign it "
                "anew with `p2pupd repo refresh`"
            )


def _check_files(repository: Repository, releases: Sequence[Release]) -> None:
    for each in releases:
        path = repository.directory.joinpath(*target_names(each))
        if not path.is_file() or path.stat().st_size != each.artifact.length:
            raise ContentError(
                f"the file of {each.label} is missing or cut off: {path}; put it back, or leave "
                "this release out with --component"
            )


def check_file_size(stick: Path, length: int) -> None:
    """Raises SpaceError where the file system cannot hold `length` bytes in one file, as FAT32.

    Seeking tells, without writing a byte. Raises HostError where no file can be made.
    """
    probe = stick / PROBE
    try:
        probe.unlink(missing_ok=True)
        with open(probe, "xb") as file:
            probe.unlink()
            file.seek(length)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise host_error(error, f"write to {stick}") from error
        raise SpaceError(
            f"the file system of {stick} holds no file of {length} bytes; nothing was written. "
            "Format the stick with exFAT or ext4"
        ) from error


def _remove_others(stick: Path, belong: set[str]) -> int:
    """Remove every file of metadata/ and targets/ that does not belong, and directories left empty.

    A link is removed, never followed.
    """
    try:
        with beneath.opened(stick) as top, beneath.entered(top, ON_STICK) as repository:
            return sum(_sweep(repository, name, name, belong) for name in (METADATA, TARGETS))
    except OSError as error:
        raise host_error(error, f"remove old files from {stick}") from error


def _sweep(parent: int, name: str, shown: str, belong: set[str]) -> int:
    removed = 0
    try:
        inside = beneath.enter(parent, name)
    except FileNotFoundError:
        return 0
    try:
        with os.scandir(inside) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for each, is_directory in found:
            path = f"{shown}/{each}"
            if is_directory:
                removed += _sweep(inside, each, path, belong)
                if not any(kept.startswith(f"{path}/") for kept in belong):
                    os.rmdir(each, dir_fd=inside)
            elif path not in belong:
                os.unlink(each, dir_fd=inside)
                log.info("stick.removed file=%s", path)
                removed += 1
        os.fsync(inside)
    finally:
        os.close(inside)
    return removed
