"""Identifiers, as short strings with one spelling each."""

import re
from typing import Final, NewType

DeviceId = NewType("DeviceId", str)
"""Lower-case base32 (no padding) of the SHA-256 of a device's Ed25519 public key: 52 characters."""

Realm = NewType("Realm", str)
"""First 16 hex digits of the SHA-256 of the signed root version 1: which fleet it is."""

Sha256 = NewType("Sha256", str)
"""A SHA-256 digest in lower-case hex, 64 characters."""

ManifestDigest = NewType("ManifestDigest", str)
"""SHA-256 (hex) of a manifest bundle's canonical encoding; its first 16 digits are announced."""

NO_MANIFEST: Final = ManifestDigest("")
"""What a device tells that has no manifest yet."""

DeploymentId = NewType("DeploymentId", str)
"""Unique on one device: a number that grows, in decimal."""

ComponentId = NewType("ComponentId", str)
"""What is updated, e.g. `gateway-os`; see COMPONENT_PATTERN."""

ANNOUNCED_DIGEST_CHARS: Final = 16
COMPONENT_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
HARDWARE_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)
LINE_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
"""A product line: the name of a TUF delegation."""
SHA256_PATTERN: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def announced(digest: ManifestDigest) -> str:
    """The prefix of a manifest digest that fits into an mDNS TXT record: 16 hex digits."""
    return digest[:ANNOUNCED_DIGEST_CHARS]
