"""An operator's key and the numbers of its orders."""

from pathlib import Path

import pytest

from p2pupd.errors import HostError, UsageError
from p2pupd.model.ids import Realm
from p2pupd.model.orders import OrderKind
from p2pupd.publisher.keys import KeyRing, Sealer
from p2pupd.publisher.settings import PublisherSettings
from p2pupd.site import authority
from p2pupd.trust.envelope import unseal
from p2pupd.trust.orders import MAX_BYTES, verify

REALM = Realm("0" * 16)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    sealer = Sealer(None, PublisherSettings())
    authority.initialise(tmp_path / "desk", REALM, "hall", sealer, 1)
    return tmp_path / "desk"


def hold(desk: Path, now: float) -> tuple[int, bytes]:
    ring = KeyRing((desk,), lambda _path, _attempt: None)
    order, raw = authority.order(desk, ring, OrderKind.HOLD, now, component="os", release=7)
    return order.sequence, raw


def test_devices_believe_what_it_signs(desk: Path) -> None:
    _, raw = hold(desk, 5)
    operator = authority.load(desk)
    order, _ = verify(unseal(raw, MAX_BYTES), REALM, "hall", [operator.public])
    assert order.label == "hold os release 7"


def test_numbers_only_grow_also_when_the_clock_was_set_back(desk: Path) -> None:
    assert [hold(desk, now)[0] for now in (5, 5, 1, 6)] == [5000, 5001, 5002, 6000]


def test_there_is_one_operator_to_a_directory(desk: Path, tmp_path: Path) -> None:
    sealer = Sealer(None, PublisherSettings())
    with pytest.raises(UsageError, match="an operator's already"):
        authority.initialise(desk, REALM, "", sealer, 1)
    with pytest.raises(UsageError, match="there is no operator in"):
        authority.load(tmp_path)
    for realm, site in ((Realm("x"), ""), (REALM, "x" * 65)):
        with pytest.raises(UsageError):
            authority.initialise(tmp_path / "new", realm, site, sealer, 1)


@pytest.mark.parametrize("content", ["", "[]", '{"p2pupd-site": 2}', '{"p2pupd-site": 1, "x": 1}'])
def test_a_damaged_file_is_told(desk: Path, content: str) -> None:
    (desk / authority.FILE).write_text(content)
    with pytest.raises(HostError, match=r"site.json is damaged"):
        authority.load(desk)
