"""What is in a repository or on a stick, for people and for programs."""

from pathlib import Path
from typing import Any

from p2pupd.publisher.repository import Repository, load, locate, realm_of
from p2pupd.trust.manifest import custom_for


def overview(path: Path) -> dict[str, Any]:
    """The repository at `path` or on the stick `path`, as JSON values.

    Read, and not verified: what counts is what a device accepts. Times are in UTC. Raises
    NotARepository, MetadataError or HostError.
    """
    repository = load(locate(path))
    roles = ("root", "targets", "snapshot", "timestamp", *repository.lines)
    return {
        "directory": str(repository.directory),
        "realm": realm_of(repository.directory),
        "anchor": str(repository.anchor),
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


def _role(repository: Repository, role: str) -> dict[str, Any]:
    signed = repository.role(role).signed
    delegated = repository.delegator(role).get_delegated_role(role)
    return {
        "version": signed.version,
        "expires": f"{signed.expires:%Y-%m-%dT%H:%M:%SZ}",
        "threshold": delegated.threshold,
        "keys": list(delegated.keyids),
    }
