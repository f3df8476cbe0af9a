"""What is in a repository or on a stick, for people and for programs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from p2pupd.errors import MetadataError, TrustError, UsageError
from p2pupd.publisher.proof import prove
from p2pupd.publisher.repository import Repository, load, locate, realm_of
from p2pupd.trust.manifest import custom_for


def overview(path: Path, keys: Iterable[Path] = ()) -> dict[str, Any]:
    """The repository at `path` or on the stick `path`, as JSON values.

    Shown also where it is not what was signed: then `doubt` says what is wrong with it, from the
    anchor in one of the directories `keys` on, if there is one. Times are in UTC. Raises
    NotARepository, MetadataError or HostError.
    """
    repository = load(locate(path))
    roles = ("root", "targets", "snapshot", "timestamp", *repository.lines)
    return {
        "directory": str(repository.directory),
        "realm": realm_of(repository.directory),
        "anchor": str(repository.anchor),
        "doubt": _doubt(repository, keys),
        "roles": {role: _role(repository, role) for role in roles},
        "releases": [
            {
                "target": each.target,
                "length": each.artifact.length,
                "sha256": each.artifact.sha256,
                "present": repository.file_of(each).is_file(),
                **custom_for(each),
            }
            for each in repository.releases()
        ],
    }


def _doubt(repository: Repository, keys: Iterable[Path]) -> str | None:
    try:
        prove(repository, keys)
    except (TrustError, UsageError) as error:
        return str(error)
    return None


def _role(repository: Repository, role: str) -> dict[str, Any]:
    signed = repository.role(role).signed
    try:
        delegated = repository.delegator(role).get_delegated_role(role)
    except ValueError as error:
        raise MetadataError(f"{repository.directory}: nobody may sign for {role}") from error
    return {
        "version": signed.version,
        "expires": f"{signed.expires:%Y-%m-%dT%H:%M:%SZ}",
        "threshold": delegated.threshold,
        "keys": list(delegated.keyids),
    }
