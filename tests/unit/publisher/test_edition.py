"""The next state of a repository: what is signed again, and what is never written."""

from pathlib import Path

import pytest

from p2pupd.errors import HostError, SignatureError, UsageError
from p2pupd.publisher import authority
from p2pupd.publisher.edition import Edition
from p2pupd.publisher.keys import KeyRing
from p2pupd.trust.keys import NaClSigner
from tests.publishing import DAY, Publisher, nobody


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


def edition_of(publisher: Publisher, later: int = 0) -> Edition:
    signing = publisher.signing(later)
    return Edition(publisher.read(), signing.ring, signing.settings, signing.now)


@pytest.mark.parametrize(
    ("role", "due_after"),
    [("root", 1217), ("targets", 487), ("gateway", 487), ("snapshot", 186)],
)
def test_a_role_is_due_in_the_last_part_of_its_life(
    publisher: Publisher, role: str, due_after: int
) -> None:
    """A third of its life is left, or less than the life of a timestamp (180 days)."""
    assert not edition_of(publisher, (due_after - 2) * DAY).ends_early(role)
    assert edition_of(publisher, (due_after + 1) * DAY).ends_early(role)


def test_what_is_due_is_signed_again_by_refresh(publisher: Publisher) -> None:
    signed, left = authority.refresh(publisher.directory, publisher.signing(500 * DAY))
    assert set(signed) == {"gateway", "targets", "snapshot", "timestamp"}
    assert left == []


def test_every_role_says_when_it_was_signed(publisher: Publisher) -> None:
    repository = publisher.read()
    for role in ("root", "targets", "snapshot", "timestamp", "gateway"):
        claims = repository.role(role).signed.unrecognized_fields
        assert claims == {"x-p2pupd-issued": publisher.now}


def test_a_clock_that_is_behind_signs_nothing(publisher: Publisher) -> None:
    publisher.add(1)
    with pytest.raises(HostError, match="set the clock"):
        publisher.add(2, later=-2 * DAY)


def test_a_root_that_the_old_keys_did_not_sign_is_not_written(publisher: Publisher) -> None:
    files = sorted((publisher.directory / "metadata").iterdir())
    repository = publisher.read()
    ring = publisher.signing().ring
    (one, _) = ring.open(repository.root.signed.roles["root"].keyids, least=2, role="root")
    signing = publisher.signing()
    edition = Edition(repository, ring, signing.settings, signing.now)
    with pytest.raises(SignatureError, match="lacks signatures: 1 of the old keys"):
        edition.issue_root([one], publisher.read().root.signed)
    assert sorted((publisher.directory / "metadata").iterdir()) == files


def test_without_its_keys_a_role_is_not_signed(publisher: Publisher, tmp_path: Path) -> None:
    signing = publisher.signing()
    nothing = KeyRing((tmp_path / "empty",), nobody)
    edition = Edition(publisher.read(), nothing, signing.settings, signing.now)
    with pytest.raises(UsageError, match="Name the directories"):
        edition.issue("gateway")


def test_a_signature_that_does_not_hold_is_found_before_writing(publisher: Publisher) -> None:
    class Forgetful(KeyRing):
        """Hands out no key, whatever the threshold."""

        def open(self, keyids: list[str], *, least: int, role: str) -> list[NaClSigner]:
            return super().open(keyids, least=0, role=role)[:0]

    signing = publisher.signing()
    ring = Forgetful((publisher.keys,), nobody)
    edition = Edition(publisher.read(), ring, signing.settings, signing.now)
    with pytest.raises(SignatureError, match="gateway"):
        edition.issue("gateway")
