"""Before anything is signed again: is what lies in the repository what was signed before?

Otherwise whoever can write into the directory would have it signed with the next release.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError

from p2pupd.errors import SignatureError, UsageError
from p2pupd.host.files import host_error, read_bounded
from p2pupd.publisher.repository import LIMITS, Repository, file_name, load

ANCHOR: Final = "root.json"
"""The name of the first root's copy beside the keys: what this fleet's keys may sign for."""


def load_proven(directory: Path, keys: Iterable[Path]) -> Repository:
    """The repository in `directory`, believed from the anchor beside the keys on.

    Where none of the key directories `keys` holds an anchor, from the repository's own first root
    on. No key is opened. Expiry does not matter: the next signature mends it. Raises
    SignatureError, UsageError for keys of another fleet, and what `load` raises.
    """
    repository = load(directory)
    prove(repository, keys)
    return repository


def prove(repository: Repository, keys: Iterable[Path]) -> None:
    """As `load_proven`, for what is read already."""
    files = repository.current_files()
    _check_anchor(files[file_name("root", 1)], keys)
    try:
        _check_roots([raw for name, raw in files.items() if name.endswith(".root.json")])
        _check_content(repository, files)
    except (RepositoryError, DeserializationError, ValueError) as error:
        raise SignatureError(
            f"{repository.directory} is not what was signed last: {error}; restore metadata/ from "
            "a backup"
        ) from error


def _check_anchor(first: bytes, keys: Iterable[Path]) -> None:
    for directory in keys:
        anchor = directory / ANCHOR
        try:
            there = anchor.exists()
        except OSError as error:
            raise host_error(error, f"read the keys in {directory}") from error
        if there and read_bounded(anchor, LIMITS.root_limit) != first:
            raise UsageError(
                f"{directory} holds the keys of another fleet: its {ANCHOR} is not the "
                "repository's 1.root.json; name the right ones with --keys",
                reason="another-fleet",
            )


def _check_roots(chain: list[bytes]) -> None:
    """TUF specification 5.3: each root is signed by the one before and by itself."""
    before: Root | None = None
    for number, raw in enumerate(chain, start=1):
        metadata: Metadata[Any] = Metadata.from_bytes(raw)
        root = metadata.signed
        if not isinstance(root, Root) or root.version != number:
            raise UnsignedMetadataError(f"{number}.root.json is no root of version {number}")
        result = root.get_root_verification_result(
            before, metadata.signed_bytes, metadata.signatures
        )
        if not result:
            raise UnsignedMetadataError(f"{number}.root.json lacks signatures")
        before = root


def _check_content(repository: Repository, files: dict[str, bytes]) -> None:
    for role in ("timestamp", "snapshot", "targets", *repository.lines):
        metadata = repository.role(role)
        repository.delegator(role).verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    named = {"snapshot": repository.timestamp.signed.snapshot_meta}
    for name, meta in repository.snapshot.signed.meta.items():
        named[name.removesuffix(".json")] = meta
    for role, meta in named.items():
        meta.verify_length_and_hashes(files[file_name(role, meta.version)])
