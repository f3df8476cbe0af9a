"""A TUF repository in memory, by python-tuf's own metadata API: also one that lies."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from nacl.signing import SigningKey
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from p2pupd.trust.client import ISSUED
from p2pupd.trust.keys import NaClKey, NaClSigner
from p2pupd.trust.manifest import custom_for
from p2pupd.wire.bundle import Bundle, encode
from tests.builders import a_release

NOW = 1_800_000_000
DAY = 86400
LIFETIMES = {"root": 1825, "targets": 730, "snapshot": 365, "timestamp": 180}
TOP = ("root", "targets", "snapshot", "timestamp")
LINE = "gateway"


S = TypeVar("S", bound=Signed)


class Alias(NaClSigner):
    """The key of `signer` under another key id."""

    def __init__(self, signer: NaClSigner, keyid: str) -> None:
        super().__init__(signer._signing_key)
        same = signer.public_key
        self._public_key = NaClKey(keyid, same.keytype, same.scheme, dict(same.keyval))


def unpublished(signed: S) -> S:
    """Its first version comes with its first publication."""
    signed.version = 0
    return signed


class TufRepository:
    """One of everything, published once at `now`. Change it, `publish` again, take `files`.

    `signers` by role sign whatever is published; `root.roles` says who should have. Metadata that
    is published says `x-p2pupd-issued` = `now`.
    """

    def __init__(self, now: int = NOW, root_keys: int = 1, seed: str = "fleet") -> None:
        self.now: int = now
        self.seed = seed
        self.made = 0
        self.files: dict[str, bytes] = {}
        self.signers: dict[str, list[NaClSigner]] = {
            role: [self.new_key()] for role in ("targets", "snapshot", "timestamp", LINE)
        }
        self.signers["root"] = [self.new_key() for _ in range(root_keys)]
        self.root = Root(roles={role: Role([], 1) for role in TOP})
        self.root.roles["root"].threshold = root_keys
        for role in TOP:
            for signer in self.signers[role]:
                self.root.add_key(signer.public_key, role)
        self.targets = Targets(delegations=Delegations({}, {}))
        self.lines: dict[str, Targets] = {}
        self.snapshot = Snapshot()
        self.timestamp = Timestamp()
        for each in (self.root, self.targets, self.snapshot, self.timestamp):
            unpublished(each)
        self.delegate(LINE, ["gateway/*/*"], self.signers[LINE])
        self.publish_root()
        self.publish("targets", LINE)

    def new_key(self) -> NaClSigner:
        """Another key, the same in every run."""
        self.made += 1
        return NaClSigner(SigningKey(hashlib.sha256(f"{self.seed}{self.made}".encode()).digest()))

    def end(self, role: str) -> datetime:
        days = LIFETIMES.get(role, LIFETIMES["targets"])
        return datetime.fromtimestamp(self.now + days * DAY, UTC)

    def delegate(
        self,
        name: str,
        paths: list[str],
        signers: list[NaClSigner],
        parent: Targets | None = None,
        threshold: int = 1,
    ) -> Targets:
        """A delegated role, not yet published."""
        delegator = parent or self.targets
        if delegator.delegations is None:
            delegator.delegations = Delegations({}, {})
        assert delegator.delegations.roles is not None
        delegator.delegations.roles[name] = DelegatedRole(name, [], threshold, False, paths)
        for signer in signers:
            delegator.add_key(signer.public_key, name)
        self.signers[name] = signers
        if name not in self.lines:
            self.lines[name] = unpublished(Targets())
        return self.lines[name]

    def add(self, number: int = 7, line: str = LINE, **changes: Any) -> TargetFile:
        """Release `number`, listed by `line`, not yet published."""
        release = a_release(number, **changes)
        artifact = release.artifact
        entry = TargetFile(artifact.length, {"sha256": artifact.sha256}, release.target)
        entry.unrecognized_fields["custom"] = custom_for(release)
        (self.targets if line == "targets" else self.lines[line]).targets[entry.path] = entry
        return entry

    def role(self, name: str) -> Signed:
        known: dict[str, Signed] = {
            "root": self.root,
            "targets": self.targets,
            "snapshot": self.snapshot,
            "timestamp": self.timestamp,
            **self.lines,
        }
        return known[name]

    def rotate(self, role: str) -> list[NaClSigner]:
        """New keys for a top-level role, not yet published; the old ones."""
        old = self.signers[role]
        for signer in old:
            self.root.revoke_key(signer.public_key.keyid, role)
        self.signers[role] = [self.new_key() for _ in old]
        for signer in self.signers[role]:
            self.root.add_key(signer.public_key, role)
        return old

    def publish_root(self, also: Sequence[NaClSigner] = ()) -> None:
        self._bump("root")
        signers = [*self.signers["root"], *also]
        self.files[f"{self.root.version}.root.json"] = self.sign("root", signers)

    def publish(self, *roles: str) -> None:
        """The next version of `roles`, and of snapshot and timestamp."""
        for role in roles:
            self._bump(role)
            self.write(role)
        self._bump("snapshot")
        self.publish_snapshot()

    def publish_snapshot(self) -> None:
        """The snapshot at its version, and the next timestamp."""
        self.write("snapshot")
        self.timestamp.snapshot_meta = MetaFile(self.snapshot.version)
        self._bump("timestamp")
        self.write("timestamp")

    def write(self, role: str) -> None:
        """Sign `role` as it stands into `files`, and let the snapshot name it."""
        signed = self.role(role)
        name = "timestamp.json" if role == "timestamp" else f"{signed.version}.{role}.json"
        self.files[name] = self.sign(role, self.signers[role])
        if isinstance(signed, Targets):
            self.snapshot.meta[f"{role}.json"] = MetaFile(signed.version)

    def sign(self, role: str, signers: Sequence[NaClSigner]) -> bytes:
        metadata: Metadata[Any] = Metadata(self.role(role))
        for signer in signers:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def bundle(self, **others: bytes) -> bytes:
        """As neighbours exchange it; `others` replaces files, names with `_` for the first dot."""
        changed = {f"{name.replace('_', '.', 1)}.json": raw for name, raw in others.items()}
        return encode(Bundle(self.files | changed))

    def _bump(self, role: str) -> None:
        signed = self.role(role)
        signed.version += 1
        signed.expires = self.end(role)
        signed.unrecognized_fields[ISSUED] = self.now
