"""One run of the TUF client workflow over bytes in hand: python-tuf decides, nothing is fetched."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from p2pupd.errors import (
    DowngradeError,
    ExpiredError,
    MetadataError,
    SignatureError,
    TrustError,
)
from p2pupd.trust import keys as _keys  # noqa: F401 - registers Ed25519 on PyNaCl
from p2pupd.trust.settings import TrustSettings

IN_HAND: Final = "in-hand:///"
MAX_TARGETS: Final = 4096
ISSUED: Final = "x-p2pupd-issued"

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)


class _BytesInHand(FetcherInterface):
    """Serves a bundle's files to python-tuf; what is not there is a 404."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.removeprefix(IN_HAND)
        if name not in self._files:
            raise DownloadHTTPError(f"the bundle has no {name}", 404)
        yield self._files[name]


class TimedUpdater(Updater):
    """python-tuf's updater, judging expiry at a given moment instead of the wall clock's."""

    def __init__(self, *args: Any, reference: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._trusted_set.reference_time = reference


@dataclass(frozen=True, slots=True)
class Believed:
    """What one run established. `files` are the metadata files that it rests on, and no others.

    `versions`, `expires` (Unix seconds) and `issued` (Unix seconds, 0 where unsaid) go by role.
    """

    root: Root
    targets: tuple[TargetFile, ...]
    files: dict[str, bytes]
    versions: dict[str, int]
    expires: dict[str, int]
    issued: dict[str, int]


def run(
    anchor: bytes, files: Mapping[str, bytes], reference: int, settings: TrustSettings
) -> Believed:
    """Verify `files` from the trusted root `anchor` on, at `reference` (Unix seconds).

    Raises SignatureError, MetadataError, ExpiredError or DowngradeError, saying which file.
    """
    try:
        with TemporaryDirectory(prefix="p2pupd-trust-") as staged:
            updater = _updater(Path(staged), anchor, files, reference, settings)
            updater.refresh()
            return _harvest(updater, Path(staged), anchor, files, settings)
    except (RepositoryError, DownloadError) as error:
        raise our_error(error) from error


def _updater(
    staged: Path, anchor: bytes, files: Mapping[str, bytes], reference: int, limits: TrustSettings
) -> TimedUpdater:
    config = UpdaterConfig(
        max_root_rotations=limits.max_root_rotations,
        max_delegations=limits.max_delegations,
        root_max_length=limits.root_limit,
        timestamp_max_length=limits.timestamp_limit,
        snapshot_max_length=limits.snapshot_limit,
        targets_max_length=limits.targets_limit,
    )
    return TimedUpdater(
        str(staged),
        IN_HAND,
        fetcher=_BytesInHand(files),
        config=config,
        bootstrap=anchor,
        reference=datetime.fromtimestamp(reference, UTC),
    )


def _harvest(
    updater: Updater,
    staged: Path,
    anchor: bytes,
    files: Mapping[str, bytes],
    settings: TrustSettings,
) -> Believed:
    first = _parse(Root, anchor)
    root = _staged(Root, staged, "root")
    timestamp = _staged(Timestamp, staged, "timestamp")
    snapshot = _staged(Snapshot, staged, "snapshot")
    targets = _staged(Targets, staged, "targets")
    delegated = list(targets.delegations.roles or {}) if targets.delegations else []
    if len(delegated) > settings.max_delegations:
        raise MetadataError(f"targets.json delegates to more than {settings.max_delegations} roles")
    lines = {role: _listed(role, snapshot, files) for role in delegated}
    found = _resolve(updater, [targets, *lines.values()])
    believed: dict[str, Signed] = {
        "root": root,
        "timestamp": timestamp,
        "snapshot": snapshot,
        "targets": targets,
    }
    believed |= {role: line for role, line in lines.items() if (staged / f"{role}.json").exists()}
    names = [f"{number}.root.json" for number in range(1, root.version + 1)]
    names += ["timestamp.json", f"{snapshot.version}.snapshot.json"]
    names += [f"{line.version}.{role}.json" for role, line in {"targets": targets, **lines}.items()]
    kept = {name: files[name] for name in names if name in files}
    kept.setdefault(f"{first.version}.root.json", anchor)
    return Believed(
        root=root,
        targets=tuple(found),
        files=kept,
        versions={role: signed.version for role, signed in believed.items()},
        expires={role: int(signed.expires.timestamp()) for role, signed in believed.items()},
        issued={role: _issued(signed) for role, signed in believed.items()},
    )


def _resolve(updater: Updater, lists: list[Targets]) -> list[TargetFile]:
    """The listed targets that TUF's own search, from the top, finds where they are listed."""
    found: list[TargetFile] = []
    for listed in lists:
        for path, entry in listed.targets.items():
            if len(found) >= MAX_TARGETS:
                raise MetadataError(f"more than {MAX_TARGETS} targets")
            info = updater.get_targetinfo(path)
            if info is not None and info == entry:
                found.append(info)
    return found


def _listed(role: str, snapshot: Snapshot, files: Mapping[str, bytes]) -> Targets:
    """What a delegated role lists, not yet believed; every entry is looked up through TUF."""
    meta = snapshot.meta.get(f"{role}.json")
    name = f"{meta.version}.{role}.json" if meta else f"{role}.json"
    if name not in files:
        raise MetadataError(f"{name} is missing from the bundle")
    return _parse(Targets, files[name])


def _staged(kind: type[S], staged: Path, role: str) -> S:
    return _parse(kind, (staged / f"{role}.json").read_bytes())


def _parse(kind: type[S], raw: bytes) -> S:
    signed = Metadata.from_bytes(raw).signed
    if not isinstance(signed, kind):
        raise MetadataError(f"metadata of type {signed.type} stands where {kind.type} belongs")
    return signed


def _issued(signed: Signed) -> int:
    claim = signed.unrecognized_fields.get(ISSUED, 0)
    return claim if isinstance(claim, int) and not isinstance(claim, bool) and claim > 0 else 0


def our_error(error: Exception) -> TrustError:
    """python-tuf's refusal in the words of our error tree."""
    text = str(error) or type(error).__name__
    match error:
        case UnsignedMetadataError():
            return SignatureError(f"{text}; not signed by those this device trusts")
        case ExpiredMetadataError():
            return ExpiredError(f"{text}; get a stick with fresh metadata (`p2pupd repo refresh`)")
        case BadVersionNumberError():
            return DowngradeError(text)
        case _:
            return MetadataError(text)
