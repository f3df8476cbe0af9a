"""The next state of a repository, signed and checked in memory before a byte of it is written.

timestamp.json is written last, so that a reader, and a power cut, see the old state or the new one.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import MetaFile, Root, Targets

from p2pupd.errors import HostError, MetadataError, SignatureError
from p2pupd.host.files import make_directory, write_durably
from p2pupd.publisher.keys import KeyRing
from p2pupd.publisher.repository import TOP_ROLES, Repository, file_name, limit_of
from p2pupd.publisher.settings import PublisherSettings
from p2pupd.trust.client import ISSUED
from p2pupd.trust.keys import NaClSigner


class Edition:
    """The next state of `repository`, which it changes in memory; `publish` writes it.

    `now` is Unix seconds. `timestamp_lifetime` (seconds) overrides the setting; no other role
    that is signed here ends before the timestamp does. Raises HostError when this machine's clock
    lies before what was signed already.
    """

    def __init__(
        self,
        repository: Repository,
        ring: KeyRing,
        settings: PublisherSettings,
        now: int,
        timestamp_lifetime: float | None = None,
    ) -> None:
        self._repository = repository
        self._ring = ring
        self._now = now
        shortest = timestamp_lifetime or settings.timestamp_lifetime
        self._lifetimes = {
            "root": max(settings.root_lifetime, shortest),
            "snapshot": max(settings.snapshot_lifetime, shortest),
            "timestamp": shortest,
        }
        self._usual = max(settings.targets_lifetime, shortest)
        self.horizon = self._expiry("timestamp")
        self._files: dict[str, bytes] = {}
        self._roots: dict[str, bytes] = {}
        signed = _issued(repository)
        if now + settings.clock_slack < signed:
            raise HostError(
                f"this machine's clock says {_date(now)}, but the repository was signed on "
                f"{_date(signed)}; set the clock",
                reason="clock-behind",
            )

    def ends_early(self, role: str) -> bool:
        """Whether `role` expires before this edition's timestamp, or in a third of a life."""
        expires: datetime = self._repository.role(role).signed.expires
        third = timedelta(seconds=self._lifetimes.get(role, self._usual) / 3)
        return expires < max(self.horizon, datetime.fromtimestamp(self._now, UTC) + third)

    def issue(self, role: str, *, first: bool = False, old: Sequence[NaClSigner] = ()) -> None:
        """Sign the next version of `role` with its keys, and with `old` ones beside them.

        Raises UsageError when keys are missing, MetadataError over a device's limit.
        """
        delegated = self._repository.delegator(role).get_delegated_role(role)
        signers = self._ring.open(delegated.keyids, least=delegated.threshold, role=role)
        name, raw = self._sign(role, first, [*signers, *old])
        self._check(role)
        self._files[name] = raw
        if role not in ("snapshot", "timestamp"):
            signed: Targets = self._repository.role(role).signed
            meta = self._repository.snapshot.signed.meta
            meta[f"{role}.json"] = MetaFile.from_data(signed.version, raw, ["sha256"])

    def issue_root(self, signers: Sequence[NaClSigner], previous: Root | None) -> None:
        """Sign the next root, which both it and `previous` must believe; written after all else.

        It is written last because from then on only the new keys count. Raises SignatureError.
        """
        name, raw = self._sign("root", previous is None, signers)
        root = self._repository.root
        result = root.signed.get_root_verification_result(
            previous, root.signed_bytes, root.signatures
        )
        if not result:
            raise SignatureError(
                f"root version {root.signed.version} lacks signatures: "
                f"{result.first.missing} of the old keys, {result.second.missing} of the new ones",
                reason="keys-missing",
            )
        self._roots[name] = raw

    def publish(
        self,
        *,
        snapshot: bool = True,
        first: bool = False,
        old: Mapping[str, Sequence[NaClSigner]] | None = None,
    ) -> None:
        """Sign the snapshot (unless nothing in it changed) and the timestamp, and write it all.

        `old` are the signers beside a role's own, by role.
        """
        parts, beside = self._repository, old or {}
        if snapshot:
            self.issue("snapshot", first=first, old=beside.get("snapshot", ()))
            number = parts.snapshot.signed.version
            raw = self._files[file_name("snapshot", number)]
            parts.timestamp.signed.snapshot_meta = MetaFile.from_data(number, raw, ["sha256"])
        self.issue("timestamp", first=first, old=beside.get("timestamp", ()))
        self.write(first=first)

    def write(self, *, first: bool = False) -> None:
        """Write what was signed, durably. Raises HostError or SpaceError; the old state stays."""
        directory = make_directory(self._repository.metadata_directory)
        parts = (self._roots, self._files) if first else (self._files, self._roots)
        for files in parts:
            for name, raw in files.items():
                write_durably(directory / name, raw)

    def _sign(self, role: str, first: bool, signers: Sequence[NaClSigner]) -> tuple[str, bytes]:
        metadata = self._repository.role(role)
        if not first:
            metadata.signed.version += 1
        metadata.signed.expires = self._expiry(role)
        metadata.signed.unrecognized_fields[ISSUED] = self._now
        metadata.signatures.clear()
        for signer in signers:
            metadata.sign(signer, append=True)
        raw = metadata.to_bytes()
        limit = limit_of(role)
        if len(raw) > limit:
            raise MetadataError(
                f"{role}.json would have {len(raw)} bytes; devices read {limit} at most. Start "
                "another product line, or shorten the release notes"
            )
        return file_name(role, metadata.signed.version), raw

    def _check(self, role: str) -> None:
        """Never write what a device would not believe."""
        metadata = self._repository.role(role)
        try:
            self._repository.delegator(role).verify_delegate(
                role, metadata.signed_bytes, metadata.signatures
            )
        except UnsignedMetadataError as error:
            raise SignatureError(str(error)) from error

    def _expiry(self, role: str) -> datetime:
        return datetime.fromtimestamp(int(self._now + self._lifetimes.get(role, self._usual)), UTC)


def _issued(repository: Repository) -> int:
    claims = [repository.role(role).signed.unrecognized_fields.get(ISSUED, 0) for role in TOP_ROLES]
    return max(claim for claim in claims if isinstance(claim, int))


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
