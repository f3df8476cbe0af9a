"""Lines of history count for the device that signed them, in its realm."""

import pytest

from p2pupd.errors import RecordError
from p2pupd.model.ids import Realm
from p2pupd.model.logbook import Logbook, LogLine
from p2pupd.trust.envelope import seal, unseal
from p2pupd.trust.logbook import MAX_BYTES, PAYLOAD_TYPE, sign, verified
from tests.saying import NOW, REALM, device, log_of, signed

LINE = LogLine(NOW, "daemon.ready")


def test_a_devices_lines_are_believed_about_it() -> None:
    book = verified(unseal(log_of(1, NOW, LINE), MAX_BYTES), REALM)
    assert book == Logbook(device(1).id, REALM, NOW, (LINE,))


def test_nobody_signs_lines_of_another_device() -> None:
    with pytest.raises(ValueError, match="their device only"):
        sign(Logbook(device(2).id, REALM, NOW), device(1))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (signed(1), "malformed"),
        (seal(PAYLOAD_TYPE, b"x", device(1).signing_key), "malformed"),
        (log_of(1, NOW, realm=Realm("f" * 16)), "other-realm"),
    ],
    ids=["a record", "garbage", "of another realm"],
)
def test_anything_else_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        verified(unseal(raw, MAX_BYTES), REALM)
    assert caught.value.reason == reason
