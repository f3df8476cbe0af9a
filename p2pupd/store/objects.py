"""One artifact on disk: `STORE/<sha256>/<pieces root>` and, beside it, `object.json`.

The sidecar is written durably before the first payload byte, and again when the whole digest was
found right; so whatever a power cut leaves is a resumable object or a verified one. Other files in
the directory are counted and deleted with it: the piece layer (host/layer_files.py) and the swarm's
resume data.
"""

import json
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from p2pupd.errors import HostError
from p2pupd.host.files import host_error, make_directory, read_bounded, write_durably
from p2pupd.model.ids import SHA256_PATTERN, Sha256
from p2pupd.model.release import Artifact
from p2pupd.store.interface import StoredObject

log = logging.getLogger(__name__)

SIDECAR: Final = "object.json"
SIDECAR_MAX_BYTES: Final = 4096
SCHEMA: Final = 1
BLOCK: Final = 512


def payload_path(store: Path, artifact: Artifact) -> Path:
    """Where the swarm and the import write the carried file."""
    return store / artifact.sha256 / artifact.pieces_root


def save(stored: StoredObject) -> None:
    """Write the sidecar durably, making the directory. Raises HostError or SpaceError."""
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "length": stored.artifact.length,
        "pieces_root": stored.artifact.pieces_root,
        "piece_length": stored.artifact.piece_length,
        "verified": stored.verified,
        "last_used": stored.last_used,
    }
    directory = make_directory(stored.path.parent)
    write_durably(directory / SIDECAR, json.dumps(fields, indent=1).encode())


def load_all(store: Path) -> Iterator[StoredObject]:
    """What an earlier run left. Directories named like an object that hold none are removed."""
    try:
        entries = sorted(os.scandir(store), key=lambda each: each.name)
    except OSError as error:
        raise host_error(error, f"read the store {store}") from error
    for entry in entries:
        named_so = SHA256_PATTERN.fullmatch(entry.name) is not None
        if not named_so or not entry.is_dir(follow_symlinks=False):
            log.warning("store.ignored path=%s", entry.path)
            continue
        stored = _load(store, Sha256(entry.name))
        if stored is None:
            log.warning("store.rubbish-removed path=%s", entry.path)
            delete(Path(entry.path))
        else:
            yield stored


def _load(store: Path, sha256: Sha256) -> StoredObject | None:
    try:
        fields = json.loads(read_bounded(store / sha256 / SIDECAR, SIDECAR_MAX_BYTES))
        if fields["schema"] != SCHEMA:
            return None
        artifact = Artifact(
            length=int(fields["length"]),
            sha256=sha256,
            pieces_root=Sha256(fields["pieces_root"]),
            piece_length=int(fields["piece_length"]),
        )
        verified, last_used = fields["verified"] is True, float(fields["last_used"])
    except (HostError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    if SHA256_PATTERN.fullmatch(str(artifact.pieces_root)) is None:
        return None
    path = payload_path(store, artifact)
    whole = size_of(path) == artifact.length
    return StoredObject(artifact, path, verified and whole, last_used)


def size_of(path: Path) -> int | None:
    """The file's length in bytes, or None where there is no such regular file."""
    try:
        facts = path.lstat()
    except OSError:
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None


def allocated(stored: StoredObject) -> int:
    """Bytes of disk that the object takes, all its files together."""
    total = 0
    try:
        for entry in os.scandir(stored.path.parent):
            total += entry.stat(follow_symlinks=False).st_blocks * BLOCK
    except FileNotFoundError:
        return total
    except OSError as error:
        raise host_error(error, f"measure {stored.path.parent}") from error
    return total


def delete(directory: Path) -> None:
    """Remove an object's directory; a missing one is fine. Raises HostError."""
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise host_error(error, f"remove {directory}") from error
