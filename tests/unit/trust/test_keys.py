import hashlib
from typing import Any

import pytest
from nacl.signing import SigningKey
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import Key, Signature

from p2pupd.trust.keys import NaClKey, NaClSigner

SIGNER = NaClSigner(SigningKey(bytes(range(32))))
KEY = SIGNER.public_key
PAYLOAD = b"what is signed"


def test_python_tuf_reads_ed25519_keys_as_ours() -> None:
    read = Key.from_dict(KEY.keyid, KEY.to_dict())
    assert isinstance(read, NaClKey)
    assert read == KEY
    assert read.to_dict() == KEY.to_dict()


def test_a_key_id_is_the_digest_of_the_canonical_key() -> None:
    canonical = encode_canonical(KEY.to_dict()) or ""
    assert KEY.keyid == hashlib.sha256(canonical.encode()).hexdigest()


def test_what_was_signed_verifies() -> None:
    KEY.verify_signature(SIGNER.sign(PAYLOAD), PAYLOAD)


@pytest.mark.parametrize(
    "signature",
    [
        SIGNER.sign(b"something else").signature,
        NaClSigner(SigningKey(bytes(32))).sign(PAYLOAD).signature,
        "00" * 64,
        "00" * 63,
        "zz",
        "",
        5,
        None,
    ],
)
def test_anything_else_does_not(signature: Any) -> None:
    with pytest.raises(UnverifiedSignatureError):
        KEY.verify_signature(Signature(KEY.keyid, signature), PAYLOAD)


@pytest.mark.parametrize(
    "public", ["", "00" * 31, "00" * 33, "AB" * 32, " " + "00" * 32, "zz" * 32]
)
def test_a_key_of_another_spelling_is_refused(public: str) -> None:
    with pytest.raises(ValueError, match="64 lower-case hex digits"):
        Key.from_dict("id", KEY.to_dict() | {"keyval": {"public": public}})


def test_a_key_that_is_no_point_of_the_curve_verifies_nothing() -> None:
    key = Key.from_dict("id", KEY.to_dict() | {"keyval": {"public": "ff" * 32}})
    with pytest.raises(UnverifiedSignatureError):
        key.verify_signature(SIGNER.sign(PAYLOAD), PAYLOAD)


def test_private_keys_have_no_address() -> None:
    with pytest.raises(ValueError, match="file:key"):
        NaClSigner.from_priv_key_uri("file:key", KEY)
