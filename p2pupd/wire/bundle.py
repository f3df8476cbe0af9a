"""The signed manifest as neighbours exchange it: TUF metadata exactly as signed, in one piece.

`{v: 1, files: {name: bytes}}` in msgpack. Names are those of a TUF repository's `metadata/`
directory with consistent snapshots: `1.root.json`, `timestamp.json`, `7.snapshot.json`,
`4.gateway.json`. A bundle proves nothing by itself.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from p2pupd.errors import ProtocolError
from p2pupd.model.ids import ManifestDigest
from p2pupd.wire import codec

VERSION: Final = 1
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_FILES: Final = 320
NAME_PATTERN: Final = re.compile(
    r"timestamp\.json|[1-9][0-9]{0,8}\.[a-z0-9][a-z0-9_-]{0,63}\.json", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """Metadata files by name, each exactly as signed."""

    files: Mapping[str, bytes]


def encode(bundle: Bundle) -> bytes:
    """The canonical encoding. Raises ProtocolError where `decode` would refuse it."""
    _check_names(bundle.files)
    raw = codec.pack({"v": VERSION, "files": dict(bundle.files)})
    if len(raw) > MAX_BYTES:
        raise ProtocolError(f"bundle of {len(raw)} bytes; at most {MAX_BYTES} are allowed")
    return raw


def decode(raw: bytes) -> Bundle:
    """The bundle in `raw`. Raises ProtocolError: over a limit, malformed, or not canonical."""
    value = codec.unpack(raw, MAX_BYTES)
    if not isinstance(value, dict) or value.get("v") != VERSION or set(value) != {"v", "files"}:
        raise ProtocolError("not a manifest bundle of version 1")
    files = value["files"]
    if not isinstance(files, dict):
        raise ProtocolError("a manifest bundle's files must be a map")
    _check_names(files)
    for name, content in files.items():
        if not isinstance(content, bytes):
            raise ProtocolError(f"the content of {name} is not a byte string")
    bundle = Bundle(files)
    if encode(bundle) != raw:
        raise ProtocolError("a manifest bundle must be in its canonical encoding")
    return bundle


def digest(raw: bytes) -> ManifestDigest:
    """What neighbours announce: SHA-256 (hex) of the canonical encoding `raw`."""
    return ManifestDigest(hashlib.sha256(raw).hexdigest())


def _check_names(files: Mapping[str, bytes]) -> None:
    if len(files) > MAX_FILES:
        raise ProtocolError(f"bundle of {len(files)} files; at most {MAX_FILES} are allowed")
    for name in files:
        if NAME_PATTERN.fullmatch(name) is None:
            raise ProtocolError(f"{name[:80]!r} is not the name of a metadata file")
