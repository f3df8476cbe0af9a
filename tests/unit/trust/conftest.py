from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from p2pupd.errors import TrustError
from p2pupd.model.clock import WallClock
from p2pupd.trust.keys import NaClSigner
from p2pupd.trust.settings import TrustSettings
from p2pupd.trust.verifier import Verifier
from tests.tuf_repository import NOW, TufRepository

Device = Callable[..., Verifier]
SOON = WallClock(NOW + 1000, trusted=True)
THIEF = NaClSigner(SigningKey(bytes(32)))


def refused(verifier: Verifier, raw: bytes, now: WallClock = SOON) -> TrustError:
    """The refusal of `raw`, which leaves everything as it was."""
    before = verifier.current(), verifier.current_bundle()
    with pytest.raises(TrustError) as caught:
        verifier.accept(raw, now)
    assert (verifier.current(), verifier.current_bundle()) == before
    return caught.value


@pytest.fixture
def fleet() -> TufRepository:
    """A repository with release 7, as devices know it."""
    repository = TufRepository()
    repository.add(7)
    repository.publish("gateway")
    return repository


@pytest.fixture
def device(tmp_path: Path, fleet: TufRepository) -> Device:
    """Starts the device again and again on the same state directory."""
    anchor = tmp_path / "root.json"
    anchor.write_bytes(fleet.files["1.root.json"])

    def start(build_time: int = 0, **settings: Any) -> Verifier:
        return Verifier(tmp_path / "state", TrustSettings(root=anchor, **settings), build_time)

    return start
