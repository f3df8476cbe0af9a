"""Who may sign what: making a repository, keeping its signatures fresh, replacing keys."""

import logging
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from p2pupd.errors import UsageError
from p2pupd.host.files import make_directory, read_bounded, write_durably
from p2pupd.model.ids import LINE_PATTERN
from p2pupd.publisher import keys
from p2pupd.publisher.edition import Edition
from p2pupd.publisher.keys import KeyRing, Sealer
from p2pupd.publisher.proof import ANCHOR, load_proven
from p2pupd.publisher.repository import LIMITS, TOP_ROLES, Repository, locked
from p2pupd.publisher.settings import PublisherSettings
from p2pupd.trust.keys import NaClSigner

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Signing:
    """With what to sign: the keys, the lifetimes, and the time in Unix seconds."""

    ring: KeyRing
    settings: PublisherSettings
    now: int


def initialise(
    directory: Path, lines: Sequence[str], root_keys: int, signing: Signing, sealer: Sealer
) -> Repository:
    """A new repository with one delegation per product line and every key made now.

    `signing.settings.threshold` of the `root_keys` root keys must sign a root; every other role
    has one key. A copy of the first root, the anchor of every device, is left beside the keys as
    root.json. Raises UsageError when the arguments or the place are wrong.
    """
    _check_arguments(directory, lines, root_keys, signing)
    make_directory(directory)
    with locked(directory):
        if (directory / "metadata" / "timestamp.json").exists():
            raise UsageError(f"{directory} is a repository already; choose another directory")
        if (signing.ring.directory / ANCHOR).exists():
            keys_of_another = f"{signing.ring.directory} holds the keys of another repository"
            raise UsageError(f"{keys_of_another}; choose another --keys")
        make_directory(directory / "targets")
        roots = [_new_key("root", signing, sealer) for _ in range(root_keys)]
        others = {
            role: _new_key(role, signing, sealer)
            for role in ("targets", "snapshot", "timestamp", *lines)
        }
        repository = _unsigned(directory, lines, roots, others, signing.settings.threshold)
        edition = Edition(repository, signing.ring, signing.settings, signing.now)
        edition.issue_root(roots, None)
        for role in ("targets", *lines):
            edition.issue(role, first=True)
        edition.publish(first=True)
        anchor = read_bounded(repository.anchor, LIMITS.root_limit)
        write_durably(signing.ring.directory / ANCHOR, anchor)
    return repository


def refresh(
    directory: Path, signing: Signing, timestamp_lifetime: float | None = None
) -> tuple[list[str], list[str]]:
    """A new timestamp, and a new version of every role that would expire before it.

    Returns the roles that were signed, and those that would expire but whose keys are not here.
    Raises UsageError when the keys of snapshot or timestamp are not here.
    """
    with locked(directory):
        repository = load_proven(directory, signing.ring.directories)
        edition = Edition(
            repository, signing.ring, signing.settings, signing.now, timestamp_lifetime
        )
        ending = [role for role in (*repository.lines, "targets") if edition.ends_early(role)]
        left = [role for role in ending if not _signable(repository, role, signing.ring)]
        signed = [role for role in ending if role not in left]
        for role in signed:
            edition.issue(role)
        if edition.ends_early("root"):
            if _signable(repository, "root", signing.ring):
                edition.issue_root(
                    _open(repository, "root", signing.ring), deepcopy(repository.root.signed)
                )
                signed.append("root")
            else:
                left.append("root")
        snapshot = bool(set(signed) - {"root"}) or edition.ends_early("snapshot")
        edition.publish(snapshot=snapshot)
    return [*signed, *(["snapshot"] if snapshot else []), "timestamp"], left


def rotate(
    directory: Path, role: str, retired: str | None, signing: Signing, sealer: Sealer
) -> tuple[str, str]:
    """Replace a key of `role` by a new one; the ids of the old and of the new key.

    `retired` is the beginning of the old key's id; None takes the role's oldest key. For a
    top-level role a new root, signed by the old and the new threshold, says so; for a product
    line a new targets.json. What the role signs is signed by the old keys as well, as far as they
    are here, so that a reader between two writes believes it too.
    """
    with locked(directory):
        repository = load_proven(directory, signing.ring.directories)
        old = _retired(repository, role, retired)
        if role == "root":
            new = _rotate_root(repository, old, signing, sealer)
        elif role in TOP_ROLES:
            new = _rotate_top(repository, role, old, signing, sealer)
        else:
            new = _rotate_line(repository, role, old, signing, sealer)
    log.info("repo.rotated role=%s old=%s new=%s", role, old, new)
    return old, new


def _rotate_root(repository: Repository, old: str, signing: Signing, sealer: Sealer) -> str:
    previous = deepcopy(repository.root.signed)
    before = _open(repository, "root", signing.ring)
    edition = Edition(repository, signing.ring, signing.settings, signing.now)
    new = _exchange(repository.root.signed, "root", old, signing, sealer)
    after = _open(repository, "root", signing.ring)
    edition.issue_root([*before, *(each for each in after if each not in before)], previous)
    if _signable(repository, "timestamp", signing.ring):
        edition.publish(snapshot=False)
    else:
        edition.write()
    return new


def _rotate_top(
    repository: Repository, role: str, old: str, signing: Signing, sealer: Sealer
) -> str:
    previous = deepcopy(repository.root.signed)
    before = _open(repository, "root", signing.ring)
    both = signing.ring.open(previous.roles[role].keyids, least=0, role=role)
    for needed in {"snapshot", "timestamp"} - {role}:
        _open(repository, needed, signing.ring)
    edition = Edition(repository, signing.ring, signing.settings, signing.now)
    new = _exchange(repository.root.signed, role, old, signing, sealer)
    edition.issue_root(before, previous)
    if role == "targets":
        edition.issue("targets", old=both)
    edition.publish(snapshot=role != "timestamp", old={role: both})
    return new


def _rotate_line(
    repository: Repository, line: str, old: str, signing: Signing, sealer: Sealer
) -> str:
    both = signing.ring.open(_keyids(repository, line), least=0, role=line)
    for needed in ("targets", "snapshot", "timestamp"):
        _open(repository, needed, signing.ring)
    edition = Edition(repository, signing.ring, signing.settings, signing.now)
    new = _exchange(repository.targets.signed, line, old, signing, sealer)
    edition.issue(line, old=both)
    edition.issue("targets")
    edition.publish()
    return new


def _exchange(
    delegator: Root | Targets, role: str, old: str, signing: Signing, sealer: Sealer
) -> str:
    signer = _new_key(role, signing, sealer)
    delegator.revoke_key(old, role)
    delegator.add_key(signer.public_key, role)
    return signer.public_key.keyid


def _new_key(role: str, signing: Signing, sealer: Sealer) -> NaClSigner:
    signer = keys.create(signing.ring.directory, role, sealer, signing.now)
    signing.ring.add(signer)
    return signer


def _retired(repository: Repository, role: str, beginning: str | None) -> str:
    repository.role(role)
    keyids = _keyids(repository, role)
    fitting = [keyid for keyid in keyids if keyid.startswith(beginning or "")]
    if not fitting or (beginning is not None and len(fitting) > 1):
        raise UsageError(
            f"{role} has {len(fitting)} keys that begin with {beginning!r}; it has "
            + ", ".join(keyid[: keys.SHOWN_DIGITS] for keyid in keyids)
        )
    return fitting[0]


def _keyids(repository: Repository, role: str) -> list[str]:
    return list(repository.delegator(role).get_delegated_role(role).keyids)


def _signable(repository: Repository, role: str, ring: KeyRing) -> bool:
    delegated = repository.delegator(role).get_delegated_role(role)
    return ring.count(delegated.keyids) >= delegated.threshold


def _open(repository: Repository, role: str, ring: KeyRing) -> list[NaClSigner]:
    delegated = repository.delegator(role).get_delegated_role(role)
    return ring.open(delegated.keyids, least=delegated.threshold, role=role)


def _check_arguments(
    directory: Path, lines: Sequence[str], root_keys: int, signing: Signing
) -> None:
    wrong = [line for line in lines if LINE_PATTERN.fullmatch(line) is None or line in TOP_ROLES]
    if wrong:
        raise UsageError(
            f"{wrong[0]!r} cannot be the name of a product line: lower-case letters, digits, - "
            f"and _, at most 64, and none of {', '.join(TOP_ROLES)}"
        )
    if not 1 <= len(lines) <= LIMITS.max_delegations or len(set(lines)) < len(lines):
        raise UsageError(f"name 1 to {LIMITS.max_delegations} product lines, each once (--line)")
    if signing.settings.threshold > root_keys:
        raise UsageError(
            f"{root_keys} root keys cannot give {signing.settings.threshold} signatures; raise "
            "--root-keys or lower --threshold"
        )
    if signing.ring.directory.resolve().is_relative_to(directory.resolve()):
        raise UsageError(
            f"the keys must not be inside the repository {directory}, which is copied and served; "
            "choose another --keys"
        )


def _unsigned(
    directory: Path,
    lines: Sequence[str],
    roots: Sequence[NaClSigner],
    others: dict[str, NaClSigner],
    threshold: int,
) -> Repository:
    root = Root(consistent_snapshot=True)
    for signer in roots:
        root.add_key(signer.public_key, "root")
    root.roles["root"].threshold = threshold
    for role in ("targets", "snapshot", "timestamp"):
        root.add_key(others[role].public_key, role)
    delegations = Delegations(
        {others[line].public_key.keyid: others[line].public_key for line in lines},
        {
            line: DelegatedRole(
                line, [others[line].public_key.keyid], 1, terminating=True, paths=[f"{line}/*/*"]
            )
            for line in lines
        },
    )
    return Repository(
        directory,
        Metadata(root),
        Metadata(Targets(delegations=delegations)),
        Metadata(Snapshot(meta={})),
        Metadata(Timestamp()),
        {line: Metadata(Targets()) for line in lines},
    )
