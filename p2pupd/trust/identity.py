"""Who this device is: an Ed25519 key that it made for itself and never gives away."""

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nacl.signing import SigningKey, VerifyKey

from p2pupd.errors import HostError
from p2pupd.host.files import PRIVATE, make_directory, read_bounded, write_durably
from p2pupd.model.ids import DeviceId

SEED_BYTES: Final = 32
GROUP: Final = 7
ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class Identity:
    """The key pair and the id that follows from its public half."""

    id: DeviceId
    signing_key: SigningKey = field(repr=False)


def device_id(key: VerifyKey) -> DeviceId:
    """Lower-case base32 of the SHA-256 of the public key, without padding: 52 characters."""
    digest = hashlib.sha256(key.encode()).digest()
    return DeviceId(base64.b32encode(digest).decode().rstrip("=").lower())


def load_or_create(path: Path) -> Identity:
    """The identity kept in `path` (32 bytes, mode 0600), made durably at first start.

    Raises HostError when the file cannot be read or written, or is damaged: a device must not
    silently become another one.
    """
    if path.exists():
        seed = read_bounded(path, SEED_BYTES + 1)
        if len(seed) != SEED_BYTES:
            raise HostError(f"{path} is damaged: a device key has {SEED_BYTES} bytes; restore it")
        key = SigningKey(seed)
    else:
        key = SigningKey.generate()
        make_directory(path.parent, 0o700)
        write_durably(path, key.encode(), PRIVATE)
    return Identity(device_id(key.verify_key), key)


def display(device: DeviceId) -> str:
    """The id for people: groups of seven, each followed by a check character."""
    groups = [device[start : start + GROUP] for start in range(0, len(device), GROUP)]
    return "-".join(group + _check(group) for group in groups)


def _check(group: str) -> str:
    """Odd weights: any one wrong letter, and nearly every exchange of two neighbours, shows."""
    total = sum((2 * place + 1) * ALPHABET.index(letter) for place, letter in enumerate(group))
    return ALPHABET[total % len(ALPHABET)]
