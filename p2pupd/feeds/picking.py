"""Which files of a repository's metadata belong together: those of now, and every root.

A repository also keeps the files of the past. The timestamp and the snapshot are parsed only to
pick; nothing is believed here. Where the bytes come from is the caller's.
"""

import json
from collections.abc import Generator, Iterable
from typing import Any, Final

from p2pupd.errors import MetadataError, UnsafeMedia
from p2pupd.wire import bundle as wire

METADATA: Final = "metadata"
TIMESTAMP: Final = "timestamp.json"

Picking = Generator[str, bytes, dict[str, bytes]]
"""Yields the name of the next file that is wanted, is sent its content, and returns the files."""


def picking(timestamp: bytes, roots: Iterable[str]) -> Picking:
    """All `roots`, the snapshot that `timestamp` names, and the targets that that one names.

    Raises MetadataError, or UnsafeMedia when there is more than a bundle holds.
    """
    files = {TIMESTAMP: timestamp}
    for name in roots:
        files[name] = yield from _wanted(files, name)
    for snapshot in _named(timestamp, TIMESTAMP):
        files[snapshot] = yield from _wanted(files, snapshot)
        for name in _named(files[snapshot], snapshot):
            files[name] = yield from _wanted(files, name)
    return files


def timestamp_version(raw: bytes) -> int:
    """What a timestamp claims to be its version. Raises MetadataError."""
    version = _signed(raw, TIMESTAMP).get("version")
    if not isinstance(version, int):
        raise MetadataError(f"{TIMESTAMP} has no version")
    return version


def _wanted(files: dict[str, bytes], name: str) -> Generator[str, bytes, bytes]:
    if sum(map(len, files.values())) > wire.MAX_BYTES or len(files) >= wire.MAX_FILES:
        raise UnsafeMedia(f"more than {wire.MAX_FILES} files or {wire.MAX_BYTES} bytes of metadata")
    return (yield name)


def _named(raw: bytes, name: str) -> list[str]:
    """The metadata files that a timestamp or a snapshot refers to, as they are called on disk."""
    meta = _signed(raw, name).get("meta")
    if not isinstance(meta, dict) or len(meta) > wire.MAX_FILES:
        raise MetadataError(f"{name} names no other metadata, or too much")
    return [_on_disk(role, facts, name) for role, facts in sorted(meta.items())]


def _on_disk(role: str, facts: object, where: str) -> str:
    version = facts.get("version") if isinstance(facts, dict) else None
    name = f"{version}.{role}"
    if type(version) is not int or not wire.NAME_PATTERN.fullmatch(name):
        raise MetadataError(f"{where} names a metadata file {role[:80]!r} of version {version!r}")
    return name


def _signed(raw: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"{name} is not JSON") from error
    signed = value.get("signed") if isinstance(value, dict) else None
    if not isinstance(signed, dict):
        raise MetadataError(f"{name} is not TUF metadata")
    return signed
