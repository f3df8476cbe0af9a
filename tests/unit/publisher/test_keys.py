"""Key files: sealed, private, never overwritten, and opened by the right passphrase only."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from p2pupd.errors import HostError, SignatureError, UsageError
from p2pupd.publisher.keys import Ask, KeyRing, Sealer, _write_new, create
from p2pupd.trust.keys import NaClSigner
from tests.publishing import NOW, SETTINGS, nobody

Change = Callable[[dict[str, Any]], object]


class Person:
    """Answers with these passphrases, one after another, and notes what was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, path: Path, attempt: int) -> bytes | None:
        self.asked.append((path.name, attempt))
        return self.answers.pop(0).encode() if self.answers else None


def a_key(directory: Path, role: str = "root", passphrase: str | None = "correct") -> NaClSigner:
    sealed = None if passphrase is None else passphrase.encode()
    return create(directory, role, Sealer(sealed, SETTINGS), NOW)


def opened(directory: Path, signer: NaClSigner, ask: Ask = nobody) -> NaClSigner:
    (found,) = KeyRing((directory,), ask).open([signer.public_key.keyid], least=1, role="root")
    return found


def the_file(directory: Path) -> Path:
    (path,) = directory.glob("*.key")
    return path


def test_a_sealed_key_opens_with_its_passphrase_and_signs_alike(tmp_path: Path) -> None:
    made = a_key(tmp_path)
    found = opened(tmp_path, made, Person("correct"))
    assert found.sign(b"hello").signature == made.sign(b"hello").signature
    found.public_key.verify_signature(found.sign(b"hello"), b"hello")


def test_an_unprotected_key_opens_without_a_question(tmp_path: Path) -> None:
    made = a_key(tmp_path, passphrase=None)
    assert opened(tmp_path, made).public_key == made.public_key


def test_a_key_file_is_its_owners_alone_and_says_whose_it_is(tmp_path: Path) -> None:
    made = a_key(tmp_path / "keys", "timestamp")
    path = the_file(tmp_path / "keys")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.name == f"timestamp-{made.public_key.keyid[:8]}.key"
    content = json.loads(path.read_text())
    assert content["role"] == "timestamp"
    assert content["created"] == NOW
    assert content["public"] == made.public_key.keyval["public"]


def test_the_private_key_is_not_in_a_sealed_file(tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    made = a_key(directory)
    raw = the_file(directory).read_bytes()
    private = made._signing_key.encode()
    assert private not in raw
    assert private.hex().encode() not in raw


def test_a_wrong_passphrase_is_asked_for_three_times(tmp_path: Path) -> None:
    made = a_key(tmp_path)
    person = Person("wrong", "worse", "", "correct")
    with pytest.raises(SignatureError, match="does not open") as caught:
        opened(tmp_path, made, person)
    assert caught.value.reason == "wrong-passphrase"
    assert [attempt for _, attempt in person.asked] == [0, 1, 2]


def test_a_second_attempt_may_be_right(tmp_path: Path) -> None:
    made = a_key(tmp_path)
    assert opened(tmp_path, made, Person("wrong", "correct")).public_key == made.public_key


def test_nobody_to_ask_is_said(tmp_path: Path) -> None:
    made = a_key(tmp_path)
    with pytest.raises(SignatureError, match="P2PUPD_PASSPHRASE"):
        opened(tmp_path, made)


def test_one_passphrase_for_several_keys_is_asked_for_once(tmp_path: Path) -> None:
    sealer = Sealer(b"correct", SETTINGS)
    made = [create(tmp_path, role, sealer, NOW) for role in ("root", "targets", "gateway")]
    person = Person("correct")
    ring = KeyRing((tmp_path,), person)
    keyids = [each.public_key.keyid for each in made]
    assert [each.public_key.keyid for each in ring.open(keyids, least=3, role="x")] == keyids
    assert len(person.asked) == 1
    ring.open(keyids, least=3, role="x")
    assert len(person.asked) == 1


def test_keys_with_different_passphrases_are_each_asked_for(tmp_path: Path) -> None:
    first, second = a_key(tmp_path, "root", "one"), a_key(tmp_path, "targets", "two")
    person = Person("one", "two")
    ring = KeyRing((tmp_path,), person)
    keyids = [first.public_key.keyid, second.public_key.keyid]
    assert len(ring.open(keyids, least=2, role="x")) == 2
    assert len(person.asked) == 2


def test_keys_in_several_directories_are_found(tmp_path: Path) -> None:
    safe, desk = tmp_path / "safe", tmp_path / "desk"
    made = [a_key(safe, passphrase=None), a_key(desk, passphrase=None)]
    keyids = [each.public_key.keyid for each in made]
    ring = KeyRing((desk, safe), nobody)
    assert ring.count(keyids) == 2
    assert ring.directory == desk
    assert len(ring.open(keyids, least=2, role="root")) == 2


def test_missing_keys_are_named_with_the_directories(tmp_path: Path) -> None:
    made = a_key(tmp_path, passphrase=None)
    ring = KeyRing((tmp_path, tmp_path / "absent"), nobody)
    with pytest.raises(UsageError, match=r"root must be signed by 2 .*absent.*--keys") as caught:
        ring.open([made.public_key.keyid, "f" * 64], least=2, role="root")
    assert caught.value.reason == "keys-missing"
    assert len(ring.open([made.public_key.keyid, "f" * 64], least=1, role="root")) == 1


def test_a_key_that_was_made_just_now_needs_no_file(tmp_path: Path) -> None:
    ring = KeyRing((tmp_path,), nobody)
    signer = NaClSigner(SigningKey.generate())
    ring.add(signer)
    assert ring.open([signer.public_key.keyid], least=1, role="root") == [signer]


def test_an_empty_passphrase_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        Sealer(b"", SETTINGS)


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "root-12345678.key"
    path.write_bytes(b"precious")
    with pytest.raises(HostError, match="File exists"):
        _write_new(path, b"new")
    assert path.read_bytes() == b"precious"


def put(**values: Any) -> Change:
    return lambda content: content.update(values)


@pytest.mark.parametrize(
    "change",
    [
        put(**{"p2pupd-key": 2}),
        put(seal="rot13"),
        put(salt="00"),
        put(salt="zz"),
        put(operations="3"),
        put(operations=10**9),
        put(memory=1 << 50),
        put(memory=None),
        put(private="AAAA"),
        put(private="not base64!"),
        put(private=7),
        put(public="00"),
        put(public=None),
        lambda content: content.pop("keyid"),
    ],
)
def test_a_damaged_key_file_is_named(tmp_path: Path, change: Change) -> None:
    made = a_key(tmp_path)
    path = the_file(tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(HostError, match=path.name) as caught:
        opened(tmp_path, made, Person("correct"))
    assert caught.value.reason == "damaged-key"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"7", b"\xff", b'"text"'])
def test_what_is_no_key_file_is_named(tmp_path: Path, raw: bytes) -> None:
    made = a_key(tmp_path)
    (tmp_path / "other.key").write_bytes(raw)
    with pytest.raises(HostError, match=r"other\.key"):
        opened(tmp_path, made, Person("correct"))


def test_a_short_unprotected_key_is_damaged(tmp_path: Path) -> None:
    made = a_key(tmp_path, passphrase=None)
    path = the_file(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"private": "00ff"}))
    with pytest.raises(HostError, match="damaged"):
        opened(tmp_path, made)


def test_a_private_key_that_is_not_the_public_ones_is_damaged(tmp_path: Path) -> None:
    made = a_key(tmp_path, passphrase=None)
    path = the_file(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"private": "00" * 32}))
    with pytest.raises(HostError, match="damaged"):
        opened(tmp_path, made)
