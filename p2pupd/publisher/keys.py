"""Key files: one Ed25519 private key each, sealed by a passphrase, readable by its owner only.

A key file is JSON. The public half is in the clear, so that a key is found without a passphrase;
the private half is in a NaCl secret box whose key is Argon2id of the passphrase. Files made
together share the salt: a passphrase is stretched once for all of them.
"""

import base64
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nacl.encoding import Base64Encoder
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox
from nacl.signing import SigningKey
from nacl.utils import random as random_bytes

from p2pupd.errors import HostError, SignatureError, UsageError
from p2pupd.host.files import PRIVATE, host_error, make_directory, read_bounded, sync_directory
from p2pupd.publisher.settings import PublisherSettings
from p2pupd.trust.keys import ED25519, NaClKey, NaClSigner

FORMAT: Final = 1
SUFFIX: Final = ".key"
KEY_FILE_LIMIT: Final = 16 * 1024
MAX_KDF_OPERATIONS: Final = 64
MAX_KDF_MEMORY: Final = 2 * 1024 * 1024 * 1024
SHOWN_DIGITS: Final = 8
NO_SEAL: Final = "none"
SEAL: Final = "argon2id+secretbox"

MAX_ATTEMPTS: Final = 3
PRIVATE_BYTES: Final = 32
SEALED_BYTES: Final = SecretBox.NONCE_SIZE + SecretBox.MACBYTES + PRIVATE_BYTES

Ask = Callable[[Path, int], bytes | None]
"""Given a key file and how often it was tried already, its passphrase; None gives up."""


class Sealer:
    """Seals new private keys: all by one passphrase, or not at all where it is None."""

    def __init__(self, passphrase: bytes | None, settings: PublisherSettings) -> None:
        """Raises UsageError for an empty passphrase."""
        if passphrase == b"":
            raise UsageError("the passphrase is empty; give one, or --no-passphrase for trials")
        self._header: dict[str, Any] = {"seal": NO_SEAL}
        self._box: SecretBox | None = None
        if passphrase is not None:
            salt = random_bytes(argon2id.SALTBYTES)
            self._header = {
                "seal": SEAL,
                "salt": salt.hex(),
                "operations": settings.kdf_operations,
                "memory": settings.kdf_memory,
            }
            self._box = _box(passphrase, self._header)

    def seal(self, private: bytes) -> dict[str, Any]:
        """The fields of a key file that hold `private` (32 bytes)."""
        sealed = private.hex() if self._box is None else _encrypt(self._box, private)
        return {**self._header, "private": sealed}


def create(directory: Path, role: str, sealer: Sealer, now: int) -> NaClSigner:
    """A new key for `role`, durably in `directory`/ROLE-XXXXXXXX.key (mode 0600).

    Raises HostError or SpaceError; an existing file is never overwritten.
    """
    key = SigningKey.generate()
    signer = NaClSigner(key)
    content = {
        "p2pupd-key": FORMAT,
        "role": role,
        "keyid": signer.public_key.keyid,
        "public": key.verify_key.encode().hex(),
        "created": now,
        **sealer.seal(key.encode()),
    }
    make_directory(directory, 0o700)
    path = directory / f"{role}-{signer.public_key.keyid[:SHOWN_DIGITS]}{SUFFIX}"
    _write_new(path, json.dumps(content, indent=1).encode() + b"\n")
    return signer


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file as found: everything in it that needs no passphrase."""

    path: Path
    role: str
    public_key: NaClKey
    content: dict[str, Any]


class KeyRing:
    """The key files in some directories; each is opened when it is first needed."""

    def __init__(self, directories: tuple[Path, ...], ask: Ask) -> None:
        self.directories = directories
        self._ask = ask
        self._boxes: dict[tuple[Any, ...], SecretBox] = {}
        self._passphrases: list[bytes] = []
        self._signers: dict[str, NaClSigner] = {}

    @property
    def directory(self) -> Path:
        """Where new keys go: the first one."""
        return self.directories[0]

    def add(self, signer: NaClSigner) -> None:
        """Remember a key that is open already, because it was made just now."""
        self._signers[signer.public_key.keyid] = signer

    def open(self, keyids: list[str], *, least: int, role: str) -> list[NaClSigner]:
        """Signers for those of `keyids` that are here, at least `least` of them.

        Raises UsageError naming role and directories when fewer are here, SignatureError for a
        wrong passphrase, HostError for a damaged key file.
        """
        found = self._files()
        here = [keyid for keyid in keyids if keyid in self._signers or keyid in found]
        if len(here) < least:
            places = ", ".join(map(str, self.directories))
            wanted = ", ".join(keyid[:SHOWN_DIGITS] for keyid in keyids)
            raise UsageError(
                f"{role} must be signed by {least} of the keys {wanted}; {len(here)} of them are "
                f"in {places}. Name the directories of the others with --keys",
                reason="keys-missing",
            )
        for keyid in here:
            if keyid not in self._signers:
                self._signers[keyid] = self._unlock(found[keyid])
        return [self._signers[keyid] for keyid in here]

    def count(self, keyids: list[str]) -> int:
        """How many of `keyids` are here."""
        found = self._files()
        return sum(keyid in self._signers or keyid in found for keyid in keyids)

    def _files(self) -> dict[str, KeyFile]:
        paths = [path for each in self.directories for path in _key_files(each)]
        return {found.public_key.keyid: found for found in map(_read, paths)}

    def _unlock(self, file: KeyFile) -> NaClSigner:
        if file.content["seal"] == NO_SEAL:
            private = bytes.fromhex(file.content["private"])
        else:
            private = self._decrypt(file)
        signer = NaClSigner(SigningKey(private))
        if signer.public_key.keyid != file.public_key.keyid:
            raise _damaged(file.path)
        return signer

    def _decrypt(self, file: KeyFile) -> bytes:
        for known in self._passphrases:
            private = self._attempt(file, known)
            if private is not None:
                return private
        for attempt in range(MAX_ATTEMPTS):
            passphrase = self._ask(file.path, attempt)
            if passphrase is None:
                break
            private = self._attempt(file, passphrase)
            if private is not None:
                self._passphrases.append(passphrase)
                return private
        raise SignatureError(
            f"the key file {file.path} does not open: wrong passphrase, or none given "
            "(a terminal, --passphrase-file or P2PUPD_PASSPHRASE)",
            reason="wrong-passphrase",
        )

    def _attempt(self, file: KeyFile, passphrase: bytes) -> bytes | None:
        header = file.content
        known = (passphrase, header["salt"], header["operations"], header["memory"])
        if known not in self._boxes:
            self._boxes[known] = _box(passphrase, header)
        try:
            return self._boxes[known].decrypt(header["private"].encode(), encoder=Base64Encoder)
        except CryptoError:
            return None


def _key_files(directory: Path) -> list[Path]:
    """In their order; none where there is no such directory. Raises HostError."""
    try:
        return sorted(each for each in directory.iterdir() if each.suffix == SUFFIX)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise host_error(error, f"read the keys in {directory}") from error


def _box(passphrase: bytes, header: dict[str, Any]) -> SecretBox:
    salt = bytes.fromhex(header["salt"])
    return SecretBox(
        argon2id.kdf(SecretBox.KEY_SIZE, passphrase, salt, header["operations"], header["memory"])
    )


def _encrypt(box: SecretBox, private: bytes) -> str:
    return box.encrypt(private, encoder=Base64Encoder).decode()


def _read(path: Path) -> KeyFile:
    try:
        content = json.loads(read_bounded(path, KEY_FILE_LIMIT))
        if content["p2pupd-key"] != FORMAT or not _openable(content):
            raise _damaged(path)
        public = {"keytype": ED25519, "scheme": ED25519, "keyval": {"public": content["public"]}}
        key = NaClKey.from_dict(str(content["keyid"]), public)
        return KeyFile(path, str(content["role"]), key, content)
    except (ValueError, KeyError, TypeError):
        raise _damaged(path) from None


def _openable(content: dict[str, Any]) -> bool:
    """Whether opening it is possible, and neither takes hours nor fills the memory."""
    if content["seal"] == NO_SEAL:
        return len(bytes.fromhex(content["private"])) == PRIVATE_BYTES
    operations, memory = content["operations"], content["memory"]
    return (
        content["seal"] == SEAL
        and isinstance(operations, int)
        and isinstance(memory, int)
        and argon2id.OPSLIMIT_MIN <= operations <= MAX_KDF_OPERATIONS
        and argon2id.MEMLIMIT_MIN <= memory <= MAX_KDF_MEMORY
        and len(bytes.fromhex(content["salt"])) == argon2id.SALTBYTES
        and len(base64.b64decode(content["private"], validate=True)) == SEALED_BYTES
    )


def _damaged(path: Path) -> HostError:
    return HostError(
        f"{path} is not a key file of p2pupd, or is damaged; restore it from a backup or move it "
        "out of the key directory",
        reason="damaged-key",
    )


def _write_new(path: Path, content: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except OSError as error:
        raise host_error(error, f"write the key file {path}") from error
