"""The TUF client workflow over bytes that some source hands out: python-tuf decides.

`believe` runs it over a bundle in hand. Expiry is not judged there: what time it is follows from
what has just been verified (see freshness), so the verifier judges it afterwards, role by role.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from securesystemslib.signer import Key
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Role, Root, Signed, TargetFile, Targets
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from p2pupd.errors import ExpiredError, MetadataError, SignatureError, TrustError
from p2pupd.host.files import host_error
from p2pupd.trust import keys as _keys  # noqa: F401 - registers Ed25519 on PyNaCl
from p2pupd.trust.settings import TrustSettings

IN_HAND: Final = "in-hand:///"
FIRST_ROOT: Final = "1.root.json"
ISSUED: Final = "x-p2pupd-issued"
NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
NOT_FOUND: Final = 404
LAST_MOMENT: Final = 253_402_300_799
"""Unix seconds: what Python's calendar ends with."""

Source = Callable[[str], tuple[int, Iterable[bytes]]]
"""Gives the HTTP status of a URL, and its content where the status is below 400."""


class Fetcher(FetcherInterface):
    """python-tuf's way to bytes; `asked` is the URL asked for last."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.asked = ""

    def _fetch(self, url: str) -> Iterator[bytes]:
        self.asked = url
        status, chunks = self._source(url)
        if status >= 400:
            raise DownloadHTTPError(f"not there (status {status})", status)
        return iter(chunks)


class Client(Updater):
    """python-tuf's updater within our limits, judging expiry at `reference`, always from `anchor`.

    `directory` is where it keeps what it verified. python-tuf offers no public way to set the time
    and to load a delegated role that no target leads to: a contract test pins what is used here.
    """

    def __init__(
        self,
        directory: Path,
        url: str,
        source: Source,
        *,
        anchor: bytes,
        reference: datetime,
        limits: TrustSettings,
    ) -> None:
        config = UpdaterConfig(
            max_root_rotations=limits.max_root_rotations,
            max_delegations=limits.max_delegations,
            root_max_length=limits.root_limit,
            timestamp_max_length=limits.timestamp_limit,
            snapshot_max_length=limits.snapshot_limit,
            targets_max_length=limits.targets_limit,
        )
        self.directory = directory
        self._limits = limits
        self._source = Fetcher(source)
        super().__init__(str(directory), url, fetcher=self._source, config=config, bootstrap=anchor)
        self._trusted_set.reference_time = reference

    @property
    def asked(self) -> str:
        """The name of the file asked for last: the one that an error is about."""
        return self._source.asked.rpartition("/")[2]

    def top(self) -> dict[str, Signed]:
        """The four top-level roles as verified by `refresh`."""
        known = self._trusted_set
        return {
            "root": known.root,
            "timestamp": known.timestamp,
            "snapshot": known.snapshot,
            "targets": known.targets,
        }

    def delegated(self) -> dict[str, tuple[Targets, str]]:
        """Every delegated role, in the order of TUF's search, verified; with its keys' fingerprint.

        Raises MetadataError for more than `max_delegations`.
        """
        found: dict[str, tuple[Targets, str]] = {}
        waiting = _children("targets", self._trusted_set.targets)
        while waiting:
            role, parent, keys = waiting.pop()
            if role in found:
                continue
            if len(found) == self._limits.max_delegations:
                raise MetadataError(f"more than {len(found)} delegations (trust.max_delegations)")
            signed = self._load_targets(role, parent)
            found[role] = signed, keys
            waiting.extend(_children(role, signed))
        return found


@dataclass(frozen=True, slots=True)
class Believed:
    """What one run established, expiry not yet judged.

    `files` are the metadata files that it rests on, and no others. `versions`, `expires` (Unix
    seconds), `issued` (Unix seconds, 0 where unsaid) and `keys` (a fingerprint of who may sign)
    go by role. `strays` are targets listed by a role that may not sign them.
    """

    files: dict[str, bytes]
    versions: dict[str, int]
    expires: dict[str, int]
    issued: dict[str, int]
    keys: dict[str, str]
    targets: tuple[TargetFile, ...]
    strays: tuple[str, ...]


def believe(anchor: bytes, files: Mapping[str, bytes], limits: TrustSettings) -> Believed:
    """Verify `files`, names as in a bundle, from the root version 1 `anchor` on.

    Raises SignatureError or MetadataError, saying which file and why; HostError, SpaceError.
    """
    served = {FIRST_ROOT: anchor}

    def source(url: str) -> tuple[int, Iterable[bytes]]:
        name = url.removeprefix(IN_HAND)
        if name not in files:
            return NOT_FOUND, ()
        served[name] = files[name]
        return 200, (files[name],)

    _check_sizes(files, limits)
    _check_realm(anchor, files, limits)
    try:
        with TemporaryDirectory(prefix="p2pupd-trust-") as staged:
            client = Client(
                Path(staged), IN_HAND, source, anchor=anchor, reference=NO_TIME, limits=limits
            )
            try:
                client.refresh()
                _check_whole_chain(client, files, limits)
                return _harvest(client, served, limits)
            except (RepositoryError, DownloadError) as error:
                raise our_error(error, client.asked) from error
    except OSError as error:
        raise host_error(error, "stage metadata in the directory for temporary files") from error


def signed_digest(name: str, raw: bytes) -> str:
    """SHA-256 (hex) of what is signed in the file, whoever has signed it. Raises MetadataError."""
    try:
        return hashlib.sha256(Metadata.from_bytes(raw).signed_bytes).hexdigest()
    except RepositoryError as error:
        raise our_error(error, name) from error


def top_keys(root: Root) -> dict[str, str]:
    """By top-level role, a text that changes whenever its keys or its threshold do.

    Raises MetadataError where a role counts one key twice.
    """
    return {name: _fingerprint(name, role, root.keys) for name, role in root.roles.items()}


def our_error(error: Exception, asked: str) -> TrustError:
    """python-tuf's refusal of the file `asked`, in the words of our error tree."""
    text = f"{asked}: {str(error) or type(error).__name__}"
    match error:
        case UnsignedMetadataError():
            return SignatureError(f"{text}; it is not signed by those whom this device trusts")
        case ExpiredMetadataError():
            return ExpiredError(text)
        case _:
            return MetadataError(text)


def _harvest(client: Client, served: dict[str, bytes], limits: TrustSettings) -> Believed:
    """`served` grows while delegations are loaded: what was not asked for is not rested on."""
    top, lines = client.top(), client.delegated()
    roles = top | {role: signed for role, (signed, _) in lines.items()}
    root, targets = top["root"], top["targets"]
    assert isinstance(root, Root)
    assert isinstance(targets, Targets)
    listed = dict.fromkeys(
        path
        for signed in (targets, *(each for each, _ in lines.values()))
        for path in signed.targets
    )
    if len(listed) > limits.max_targets:
        raise MetadataError(f"{len(listed)} targets; at most {limits.max_targets} are read")
    looked_up = {path: client.get_targetinfo(path) for path in listed}
    return Believed(
        files=served,
        versions={role: signed.version for role, signed in roles.items()},
        expires={role: int(signed.expires.timestamp()) for role, signed in roles.items()},
        issued={role: _issued(signed) for role, signed in roles.items()},
        keys=top_keys(root) | {role: keys for role, (_, keys) in lines.items()},
        targets=tuple(info for info in looked_up.values() if info is not None),
        strays=tuple(path for path, info in looked_up.items() if info is None),
    )


def _check_sizes(files: Mapping[str, bytes], limits: TrustSettings) -> None:
    """A length that the timestamp or snapshot states would override python-tuf's limit."""
    known = {
        "root": limits.root_limit,
        "timestamp": limits.timestamp_limit,
        "snapshot": limits.snapshot_limit,
    }
    for name, content in files.items():
        role = name.removesuffix(".json").rpartition(".")[2]
        limit = known.get(role, limits.targets_limit)
        if len(content) > limit:
            raise MetadataError(f"{name}: {len(content)} bytes; at most {limit} are read")


def _check_realm(anchor: bytes, files: Mapping[str, bytes], limits: TrustSettings) -> None:
    """Two fleets may share keys, but not a first root."""
    theirs = files.get(FIRST_ROOT, anchor)
    if signed_digest(FIRST_ROOT, theirs) != signed_digest(FIRST_ROOT, anchor):
        raise SignatureError(
            f"{FIRST_ROOT} is another fleet's, not the one that this device was made for "
            f"({limits.root})",
            reason="wrong-realm",
        )


def _check_whole_chain(client: Client, files: Mapping[str, bytes], limits: TrustSettings) -> None:
    """python-tuf stops silently at the limit, with a root that is no longer the newest."""
    if f"{client.top()['root'].version + 1}.root.json" in files:
        raise MetadataError(
            f"more than {limits.max_root_rotations} root rotations (trust.max_root_rotations)"
        )


def _children(parent: str, signed: Targets) -> list[tuple[str, str, str]]:
    """(role, parent, fingerprint of its keys) of those it delegates to, the first one last."""
    if signed.delegations is None:
        return []
    if signed.delegations.roles is None:
        raise MetadataError(f"{parent}.json delegates to hash bins, which are not read")
    known = signed.delegations.keys
    return [
        (name, parent, _fingerprint(name, role, known))
        for name, role in reversed(signed.delegations.roles.items())
    ]


def _fingerprint(name: str, role: Role, known: Mapping[str, Key]) -> str:
    """python-tuf counts key ids: one key under two of them could meet a threshold alone."""
    publics = sorted(str(known[each].keyval.get("public")) for each in role.keyids if each in known)
    if len(set(publics)) != len(publics):
        raise MetadataError(f"{name}.json: one key is listed twice among those that may sign it")
    return f"{role.threshold}:{hashlib.sha256(','.join(publics).encode()).hexdigest()}"


def _issued(signed: Signed) -> int:
    claim = signed.unrecognized_fields.get(ISSUED, 0)
    good = isinstance(claim, int) and not isinstance(claim, bool)
    return min(max(claim, 0), LAST_MOMENT) if good else 0
