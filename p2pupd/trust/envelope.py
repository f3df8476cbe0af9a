"""Signed messages of devices and operators: DSSE 1.0 with Ed25519, in msgpack instead of JSON.

An envelope is `{t: payload type, p: payload, k: public key, s: signature}`; what is signed is the
DSSE pre-authentication encoding of type and payload. It has one spelling only, so nobody but the
holder of the key can make a second envelope of the same message.
"""

from dataclasses import dataclass
from typing import Final

from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from p2pupd.errors import ProtocolError, RecordError
from p2pupd.wire import codec

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
MAX_TYPE: Final = 64
OVERHEAD: Final = 192
"""Bytes that an envelope adds to its payload at most."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message whose signature is right; `key` made it, whoever that is."""

    type: str
    payload: bytes
    key: VerifyKey


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload_type: str, payload: bytes, key: SigningKey) -> bytes:
    """The envelope of `payload`, signed with `key`."""
    signature = key.sign(pae(payload_type, payload)).signature
    return enclosed(payload_type, payload, key.verify_key.encode(), signature)


def enclosed(payload_type: str, payload: bytes, public: bytes, signature: bytes) -> bytes:
    """The envelope of `payload`, whose `pae` was signed already."""
    return codec.pack({"t": payload_type, "p": payload, "k": public, "s": signature})


def unseal(raw: bytes, max_bytes: int) -> Envelope:
    """The message in `raw`.

    Raises RecordError with reason `oversized` (more than `max_bytes`), `malformed` or `forged`.
    """
    if len(raw) > max_bytes:
        raise RecordError(
            f"a signed message of {len(raw)} bytes; at most {max_bytes} are accepted",
            reason="oversized",
        )
    try:
        fields = codec.unpack(raw, max_bytes)
    except ProtocolError as error:
        raise RecordError(f"not a signed message: {error}", reason="malformed") from error
    if not _lawful(fields) or codec.pack(fields) != raw:
        raise RecordError("not a signed message in its one encoding", reason="malformed")
    key = VerifyKey(fields["k"])
    try:
        key.verify(pae(fields["t"], fields["p"]), fields["s"])
    except CryptoError as error:
        raise RecordError("the signature is not that of the key", reason="forged") from error
    return Envelope(fields["t"], fields["p"], key)


def _lawful(fields: object) -> bool:
    return (
        isinstance(fields, dict)
        and fields.keys() == {"t", "p", "k", "s"}
        and isinstance(fields["t"], str)
        and len(fields["t"]) <= MAX_TYPE
        and all(isinstance(fields[each], bytes) for each in "pks")
        and len(fields["k"]) == KEY_BYTES
        and len(fields["s"]) == SIGNATURE_BYTES
    )
