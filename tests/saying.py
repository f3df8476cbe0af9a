"""Devices that say something about themselves: identities from a number, records, envelopes."""

from dataclasses import replace
from functools import cache
from typing import Any

from nacl.signing import SigningKey

from p2pupd.model.clock import WallClock
from p2pupd.model.deployment import Phase
from p2pupd.model.device import ByteCounts, Role
from p2pupd.model.fleet import (
    ComponentState,
    DeploymentState,
    Halt,
    Link,
    Seen,
    StatusRecord,
    Update,
)
from p2pupd.model.ids import ComponentId, Realm
from p2pupd.model.logbook import Logbook, LogLine
from p2pupd.trust.envelope import unseal
from p2pupd.trust.identity import Identity, device_id
from p2pupd.trust.logbook import sign as sign_log
from p2pupd.trust.records import MAX_BYTES, sign, verify

REALM = Realm("0123456789abcdef")
NOW = 1_800_000_000
CLOCK = WallClock(float(NOW), trusted=True)
OS = ComponentId("gateway-os")


@cache
def device(number: int) -> Identity:
    """The device with that number: the same one every time."""
    key = SigningKey(number.to_bytes(32, "big"))
    return Identity(device_id(key.verify_key), key)


def a_status(number: int = 1, **changes: Any) -> StatusRecord:
    """What device `number` says when it has nothing to say."""
    record = StatusRecord(
        device=device(number).id,
        realm=REALM,
        site="",
        epoch=0,
        sequence=1,
        news=1,
        at=NOW,
        beat=600,
        role=Role.PEER,
        version="0.1.0",
        hardware_ids=("acme-gw2",),
    )
    return replace(record, **changes)


def a_full_status(number: int = 1, **changes: Any) -> StatusRecord:
    """What it says when every field has something in it."""
    full = a_status(
        number,
        site="Werk 3",
        model="Gateway 2",
        groups=("canary", "hall-2"),
        port=7830,
        links=(Link("eth0", "10.0.0.7"), Link("wlan0", "fe80::1")),
        components=(ComponentState(OS, "1.6", 6),),
        deployment=DeploymentState(
            OS, "1.7", 7, Phase.INSTALLING, NOW - 5, 4, 10, "copying", ticket=3
        ),
        history=(Update(OS, "1.6", 6, Phase.REVERTED, NOW - 99, "probe", "says no", resumed=2),),
        holds=("ab" * 8, "cd" * 8),
        halts=(Halt(OS, 5, 1),),
        counts=ByteCounts(lan=1, uplink=2, usb=3, reuse=4, sent=5, wasted=6),
        store_free=1 << 40,
    )
    return replace(full, **changes)


def signed(number: int = 1, **changes: Any) -> bytes:
    """The envelope of what it says."""
    return sign(a_status(number, **changes), device(number))


def seen(number: int = 1, heard: float = NOW, first: float = NOW, **changes: Any) -> Seen:
    """The same as somebody heard it."""
    known = {name: changes.pop(name) for name in ("direct", "alive", "lost") if name in changes}
    standing = changes.pop("standing", None)
    raw = signed(number, **changes)
    record, stamp = verify(unseal(raw, MAX_BYTES), REALM, "", CLOCK)
    made = Seen(record, stamp, raw, heard, first, **known)
    return made if standing is None else replace(made, standing=standing)


def log_of(number: int, at: int, *lines: LogLine, realm: Realm = REALM) -> bytes:
    """The envelope of a device's lines of history."""
    return sign_log(Logbook(device(number).id, realm, at, lines), device(number))
