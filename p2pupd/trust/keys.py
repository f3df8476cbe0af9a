"""Ed25519 on PyNaCl, behind securesystemslib's extension points: no OpenSSL on a device.

Importing this module makes python-tuf verify `ed25519` keys with libsodium. Keys of other types
stay parseable; their signatures count only where the `cryptography` package is installed.
"""

import hashlib
import json
import re
from typing import Any, Final

from nacl.exceptions import BadSignatureError
from nacl.exceptions import ValueError as NaClValueError
from nacl.signing import SigningKey, VerifyKey
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import KEY_FOR_TYPE_AND_SCHEME, Key, Signature, Signer

ED25519: Final = "ed25519"
PUBLIC_PATTERN: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class NaClKey(Key):
    """An Ed25519 public key; `keyval.public` is 64 hex digits, as the TUF specification says."""

    @classmethod
    def of(cls, verify_key: VerifyKey) -> "NaClKey":
        """The TUF key for a raw one; its id is the SHA-256 of its canonical JSON."""
        keyval = {"public": verify_key.encode().hex()}
        portable = {"keytype": ED25519, "scheme": ED25519, "keyval": keyval}
        canonical = json.dumps(portable, sort_keys=True, separators=(",", ":")).encode()
        return cls(hashlib.sha256(canonical).hexdigest(), ED25519, ED25519, dict(keyval))

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> "NaClKey":
        """Raises ValueError, KeyError or TypeError for a malformed key, as `Key` documents."""
        keytype, scheme, keyval = cls._from_dict(key_dict)
        if PUBLIC_PATTERN.fullmatch(keyval["public"]) is None:
            raise ValueError("an ed25519 public key is 64 lower-case hex digits")
        return cls(keyid, keytype, scheme, keyval, key_dict)

    def to_dict(self) -> dict[str, Any]:
        """The public part as it stands in root metadata."""
        return self._to_dict()

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Raises UnverifiedSignatureError unless `signature` over `data` is this key's."""
        try:
            key = VerifyKey(bytes.fromhex(self.keyval["public"]))
            key.verify(data, bytes.fromhex(signature.signature))
        except (BadSignatureError, NaClValueError, ValueError, TypeError) as error:
            raise UnverifiedSignatureError(f"not signed by {self.keyid}") from error


class NaClSigner(Signer):
    """Signs with an Ed25519 key that is in memory."""

    def __init__(self, signing_key: SigningKey) -> None:
        self._signing_key = signing_key
        self._public_key = NaClKey.of(signing_key.verify_key)

    @property
    def public_key(self) -> NaClKey:
        """The key that verifies what this one signs."""
        return self._public_key

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, *_: Any) -> "NaClSigner":
        """Private keys are not addressed by URI here: the publisher opens its key files."""
        raise ValueError(f"{priv_key_uri}: private keys are opened from key files only")

    def sign(self, payload: bytes) -> Signature:
        """The signature over `payload`, in hex."""
        return Signature(self._public_key.keyid, self._signing_key.sign(payload).signature.hex())


KEY_FOR_TYPE_AND_SCHEME[(ED25519, ED25519)] = NaClKey
