from typing import Any

import pytest

from p2pupd.errors import RecordError
from p2pupd.model.clock import WallClock
from p2pupd.model.fleet import Stamp, StatusRecord
from p2pupd.model.ids import Realm
from p2pupd.trust.envelope import seal, unseal
from p2pupd.trust.records import AHEAD, AHEAD_UNTRUSTED, MAX_BYTES, PAYLOAD_TYPE, sign, verify
from p2pupd.wire.records import encode
from tests.saying import CLOCK, NOW, REALM, a_full_status, a_status, device, signed


def _verified(raw: bytes, clock: WallClock = CLOCK, site: str = "") -> tuple[StatusRecord, Stamp]:
    return verify(unseal(raw, MAX_BYTES), REALM, site, clock)


def _refused(raw: bytes, **changes: Any) -> str:
    with pytest.raises(RecordError) as refused:
        _verified(raw, **changes)
    return refused.value.reason


def test_a_record_is_believed_about_the_device_whose_key_signed_it() -> None:
    record, stamp = _verified(sign(a_full_status(), device(1)), site="Werk 3")
    assert record == a_full_status()
    assert record.device == device(1).id
    assert stamp[:2] == (0, 1)


def test_nobody_can_speak_for_another_device() -> None:
    with pytest.raises(ValueError, match="by its device only"):
        sign(a_status(1), device(2))
    raw = seal(PAYLOAD_TYPE, encode(a_status(1)), device(2).signing_key)
    assert _verified(raw)[0].device == device(2).id


def test_two_things_said_under_one_number_have_stamps_of_their_own() -> None:
    one, other = _verified(signed(1, model="one"))[1], _verified(signed(1, model="other"))[1]
    assert one[:2] == other[:2]
    assert one != other


def test_a_record_of_another_realm_or_site_does_not_count() -> None:
    assert _refused(signed(1, realm=Realm("f" * 16))) == "other-realm"
    assert _refused(signed(1, site="elsewhere")) == "other-site"
    assert _refused(signed(1), site="here") == "other-site"


def test_a_record_that_is_dated_ahead_does_not_count() -> None:
    assert _verified(signed(1, at=NOW + AHEAD))
    assert _refused(signed(1, at=NOW + AHEAD + 1)) == "future-dated"


def test_a_clock_without_a_battery_does_not_blind_a_device() -> None:
    clock = WallClock(float(NOW), trusted=False)
    assert _verified(signed(1, at=NOW + AHEAD_UNTRUSTED), clock)
    assert _refused(signed(1, at=NOW + AHEAD_UNTRUSTED + 1), clock=clock) == "future-dated"


def test_a_message_of_another_kind_is_no_record() -> None:
    assert _refused(seal("order", encode(a_status()), device(1).signing_key)) == "malformed"
    assert _refused(seal(PAYLOAD_TYPE, b"\xc0", device(1).signing_key)) == "malformed"
