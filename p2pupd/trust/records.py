"""Status records: made by their device, believed about that device and nothing else.

A record names its device by the key that signed it, so nobody can speak for another one. In open
mode every key counts that way: trusted on first use, and marked so.
"""

import hashlib
from typing import Final

from p2pupd.errors import RecordError
from p2pupd.model.clock import WallClock
from p2pupd.model.fleet import Stamp, StatusRecord
from p2pupd.model.ids import Realm
from p2pupd.trust.envelope import OVERHEAD, Envelope, seal
from p2pupd.trust.identity import Identity
from p2pupd.trust.saying import said
from p2pupd.wire import records

PAYLOAD_TYPE: Final = "application/x-p2pupd-status"
MAX_BYTES: Final = records.MAX_BYTES + OVERHEAD
"""Longest envelope of a record."""
AHEAD: Final = 24 * 3600
"""Seconds that a record may be ahead of our clock, where that is trusted."""
AHEAD_UNTRUSTED: Final = 10 * 365 * 24 * 3600
"""Where it is not: a clock without a battery shows the year of its firmware. A record's time orders
nothing; it is only shown."""
TIE_BYTES: Final = 4


def sign(record: StatusRecord, identity: Identity) -> bytes:
    """The envelope of this device's own record. Raises ValueError for another device's."""
    if record.device != identity.id:
        raise ValueError("a record can be made by its device only")
    return seal(PAYLOAD_TYPE, records.encode(record), identity.signing_key)


def verify(
    envelope: Envelope, realm: Realm, site: str, clock: WallClock
) -> tuple[StatusRecord, Stamp]:
    """The record in a message whose signature is right, and which of its device's sayings it is.

    Raises RecordError with reason `malformed`, `other-realm`, `other-site` or `future-dated`.
    """
    record, stamp = verified(envelope, realm, clock)
    if record.site != site:
        raise RecordError(f"{record.device} is of another site", reason="other-site")
    return record, stamp


def verified(envelope: Envelope, realm: Realm, clock: WallClock) -> tuple[StatusRecord, Stamp]:
    """The same for any site of the realm: what the office reads."""
    kind, wrong = "status record", "the record of {} is malformed"
    record = said(envelope, realm, PAYLOAD_TYPE, records.decode, kind=kind, wrong=wrong)
    if record.at > clock.now + (AHEAD if clock.trusted else AHEAD_UNTRUSTED):
        raise RecordError(f"the record of {record.device} is dated ahead", reason="future-dated")
    return record, stamp_of(record.epoch, record.sequence, envelope.payload)


def stamp_of(epoch: int, sequence: int, payload: bytes) -> Stamp:
    """The stamp of a signed payload under its number."""
    tie = int.from_bytes(hashlib.sha256(payload).digest()[:TIE_BYTES], "big")
    return Stamp(epoch, sequence, tie)
