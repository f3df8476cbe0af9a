"""A p2pupd repository on disk: a plain TUF repository with JSON metadata and consistent snapshots.

Read here, and kept for one publisher at a time; the next state of it is an `Edition`.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from p2pupd.errors import MetadataError, NotARepository, UsageError
from p2pupd.host.files import host_error, read_bounded
from p2pupd.model.ids import LINE_PATTERN, Realm
from p2pupd.model.release import Release
from p2pupd.trust.manifest import parse_custom
from p2pupd.trust.settings import TrustSettings

TOP_ROLES: Final = ("root", "targets", "snapshot", "timestamp")
ROOT_PATTERN: Final = re.compile(r"([1-9][0-9]{0,8})\.root\.json", re.ASCII)
REALM_CHARS: Final = 16
LIMITS: Final = TrustSettings()

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)


@dataclass
class Repository:
    """The current state. `lines` are the delegated product lines by name."""

    directory: Path
    root: Metadata[Root]
    targets: Metadata[Targets]
    snapshot: Metadata[Snapshot]
    timestamp: Metadata[Timestamp]
    lines: dict[str, Metadata[Targets]] = field(default_factory=dict)

    @property
    def metadata_directory(self) -> Path:
        return self.directory / "metadata"

    @property
    def targets_directory(self) -> Path:
        return self.directory / "targets"

    @property
    def anchor(self) -> Path:
        """The first root: what devices get at manufacture as their root.json."""
        return self.metadata_directory / "1.root.json"

    def role(self, name: str) -> Metadata[Any]:
        """Metadata by role. Raises UsageError where there is no such role or line."""
        known: dict[str, Metadata[Any]] = {
            "root": self.root,
            "targets": self.targets,
            "snapshot": self.snapshot,
            "timestamp": self.timestamp,
            **self.lines,
        }
        if name not in known:
            raise UsageError(f"there is no role {name!r} here; there are {', '.join(known)}")
        return known[name]

    def delegator(self, name: str) -> Root | Targets:
        """Who says which keys sign for role `name`."""
        return self.root.signed if name in TOP_ROLES else self.targets.signed

    def releases(self) -> list[Release]:
        """Every published release, line by line. Raises MetadataError."""
        return [
            parse_custom(entry.custom or {}, path, entry.length, entry.hashes.get("sha256", ""))
            for metadata in (self.targets, *self.lines.values())
            for path, entry in metadata.signed.targets.items()
        ]

    def file_of(self, release: Release) -> Path:
        """Where its carried file is, if it is here."""
        place = self.targets_directory / release.target
        return place.with_name(f"{release.artifact.sha256}.{place.name}")

    def current_files(self) -> dict[str, bytes]:
        """Every metadata file that a device needs, the root chain first, timestamp.json last."""
        roles = (*self.lines, "targets", "snapshot", "timestamp")
        names = [file_name("root", version + 1) for version in range(self.root.signed.version)]
        names += [file_name(role, self.role(role).signed.version) for role in roles]
        return {name: _read(self.metadata_directory / name) for name in names}


def load(directory: Path) -> Repository:
    """The repository in `directory`, its signatures not checked.

    Raises NotARepository, or MetadataError and HostError naming the file.
    """
    metadata = directory / "metadata"
    if not _holds_one(directory):
        raise NotARepository(
            f"{directory} holds no p2pupd repository; make one with `p2pupd repo init`"
        )
    timestamp = _parse(Timestamp, metadata / "timestamp.json")
    number = timestamp.signed.snapshot_meta.version
    snapshot = _parse(Snapshot, metadata / file_name("snapshot", number), number)
    number = _newest_root(metadata)
    root = _parse(Root, metadata / file_name("root", number), number)
    listed = {
        role: _parse(Targets, metadata / file_name(role, version), version)
        for role, version in _listed(snapshot.signed)
    }
    if "targets" not in listed:
        raise MetadataError(f"{directory}: the snapshot does not name targets.json")
    return Repository(directory, root, listed.pop("targets"), snapshot, timestamp, listed)


def locate(path: Path) -> Path:
    """`path` itself, or `path`/p2pupd where `path` is a stick. Raises NotARepository, HostError."""
    for candidate in (path, path / "p2pupd"):
        if _holds_one(candidate):
            return candidate
    raise NotARepository(f"{path} is neither a p2pupd repository nor a stick with one")


def _holds_one(directory: Path) -> bool:
    """Raises HostError where that cannot be seen."""
    try:
        return (directory / "metadata" / "timestamp.json").is_file()
    except OSError as error:
        raise host_error(error, f"read the repository {directory}") from error


def realm_of(directory: Path) -> Realm:
    """Which fleet it is: the short digest of root version 1."""
    raw = _read(directory / "metadata" / "1.root.json")
    return Realm(hashlib.sha256(raw).hexdigest()[:REALM_CHARS])


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep every other publisher out of `directory`, waiting for the one that is in."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NotARepository(f"{directory}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise host_error(error, f"work in {directory}") from error
    finally:
        os.close(fd)


def file_name(role: str, version: int) -> str:
    """The name of a metadata file with consistent snapshots (TUF specification 6.2)."""
    return "timestamp.json" if role == "timestamp" else f"{version}.{role}.json"


def limit_of(role: str) -> int:
    """The largest metadata file of `role` that a device reads, in bytes."""
    known = {
        "root": LIMITS.root_limit,
        "snapshot": LIMITS.snapshot_limit,
        "timestamp": LIMITS.timestamp_limit,
    }
    return known.get(role, LIMITS.targets_limit)


def _listed(snapshot: Snapshot) -> Iterator[tuple[str, int]]:
    for name, meta in snapshot.meta.items():
        role = name.removesuffix(".json")
        known = LINE_PATTERN.fullmatch(role) is not None
        if not known or role in ("root", "snapshot", "timestamp"):
            raise MetadataError(f"the snapshot names {name[:80]!r}, which is no product line")
        yield role, meta.version


def _newest_root(metadata: Path) -> int:
    try:
        found = [ROOT_PATTERN.fullmatch(each.name) for each in metadata.iterdir()]
    except OSError as error:
        raise host_error(error, f"read {metadata}") from error
    return max((int(each[1]) for each in found if each), default=1)


def _read(path: Path) -> bytes:
    role = path.name.removesuffix(".json").rpartition(".")[2]
    if not path.is_file():
        raise MetadataError(f"{path} is missing or no regular file; the repository is damaged")
    return read_bounded(path, limit_of(role))


def _parse(kind: type[S], path: Path, version: int | None = None) -> Metadata[S]:
    try:
        metadata = Metadata[S].from_bytes(_read(path))
    except DeserializationError as error:
        raise MetadataError(f"{path} is not TUF metadata: {error}") from error
    if not isinstance(metadata.signed, kind):
        raise MetadataError(f"{path} is {metadata.signed.type}, not {kind.type} metadata")
    if version not in (None, metadata.signed.version):
        raise MetadataError(f"{path} claims to be version {metadata.signed.version}")
    return metadata
