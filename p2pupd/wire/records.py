"""A device's status record in msgpack: every count and every length bounded.

Lists of fixed fields instead of maps inside, as a floor's records are what it talks about most.
Whoever makes a record clips what is too long (`clipped`); a record that is over a limit is refused
whole. Text is printable, because it is shown on screens.
"""

from ipaddress import ip_address
from typing import Any, Final

from p2pupd.errors import ProtocolError
from p2pupd.model.deployment import Phase
from p2pupd.model.device import ByteCounts, Role
from p2pupd.model.fleet import (
    ComponentState,
    DeploymentState,
    Halt,
    Link,
    StatusRecord,
    Update,
)
from p2pupd.model.ids import COMPONENT_PATTERN, ComponentId, DeviceId, Realm
from p2pupd.model.numbers import LARGEST
from p2pupd.wire import codec
from p2pupd.wire.fields import (
    LAST_PORT,
    array,
    exactly,
    matching,
    number,
    one_of,
    pieces,
    printable,
    versioned,
)

VERSION: Final = 1
MAX_BYTES: Final = 6144
"""A payload within every limit below is shorter."""

NAME_BYTES: Final = 64
"""Of a model, a group, a hardware id, a site, an address."""
VERSION_BYTES: Final = 32
REASON_BYTES: Final = 32
DETAIL_BYTES: Final = 96
LINK_BYTES: Final = 16
MAX_GROUPS: Final = 8
MAX_HARDWARE: Final = 8
MAX_LINKS: Final = 4
MAX_COMPONENTS: Final = 8
MAX_HISTORY: Final = 4
MAX_HOLDS: Final = 16
MAX_HALTS: Final = 16
HOLD_BYTES: Final = 8
LONGEST_BEAT: Final = 7 * 24 * 3600
"""Seconds; who would be silent for longer is not waited for."""
MOST: Final = LARGEST
LAST_EPOCH: Final = (1 << 32) - 1

COUNTS: Final = ("lan", "uplink", "usb", "reuse", "sent", "wasted")


def clipped(text: str, most: int) -> str:
    """`text` in at most `most` bytes of UTF-8, with `?` for what no screen shows."""
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return shown.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def encode(record: StatusRecord) -> bytes:
    """The payload to sign; the device's id is not in it, because it follows from the key."""
    fields: dict[str, Any] = {
        "v": VERSION,
        "realm": bytes.fromhex(record.realm),
        "site": record.site,
        "e": record.epoch,
        "n": record.sequence,
        "news": record.news,
        "at": record.at,
        "beat": record.beat,
        "role": str(record.role),
        "ver": record.version,
        "model": record.model,
        "hw": list(record.hardware_ids),
        "grp": list(record.groups),
        "port": record.port,
        "ln": [[each.name, each.address] for each in record.links],
        "co": [[each.component, each.version, each.release] for each in record.components],
        "dep": _deployment_fields(record.deployment),
        "hist": [_update_fields(each) for each in record.history],
        "has": b"".join(bytes.fromhex(each) for each in record.holds),
        "halt": [[each.component, each.release, each.resumed] for each in record.halts],
        "bytes": [getattr(record.counts, name) for name in COUNTS],
        "free": record.store_free,
    }
    return codec.pack(fields)


def decode(payload: bytes, device: DeviceId) -> StatusRecord:
    """What `device` said; unknown fields are ignored. Raises ProtocolError."""
    fields = versioned(codec.unpack(payload, MAX_BYTES), VERSION, "a status record")
    return StatusRecord(
        device=device,
        realm=Realm(exactly(fields.get("realm"), 8, "realm").hex()),
        site=printable(fields.get("site"), NAME_BYTES, "site"),
        epoch=number(fields.get("e"), LAST_EPOCH, "e"),
        sequence=number(fields.get("n"), MOST, "n"),
        news=number(fields.get("news"), MOST, "news"),
        at=number(fields.get("at"), MOST, "at"),
        beat=number(fields.get("beat"), LONGEST_BEAT, "beat"),
        role=one_of(fields.get("role"), Role, "role"),
        version=printable(fields.get("ver"), VERSION_BYTES, "ver"),
        model=printable(fields.get("model"), NAME_BYTES, "model"),
        hardware_ids=array(fields.get("hw"), MAX_HARDWARE, _name, "hw"),
        groups=array(fields.get("grp"), MAX_GROUPS, _name, "grp"),
        port=number(fields.get("port"), LAST_PORT, "port"),
        links=array(fields.get("ln"), MAX_LINKS, _link, "ln"),
        components=array(fields.get("co"), MAX_COMPONENTS, _component_state, "co"),
        deployment=_deployment(fields.get("dep")),
        history=array(fields.get("hist"), MAX_HISTORY, _update, "hist"),
        holds=tuple(map(bytes.hex, pieces(fields.get("has"), HOLD_BYTES, MAX_HOLDS, "has"))),
        halts=array(fields.get("halt"), MAX_HALTS, _halt, "halt"),
        counts=_counts(fields.get("bytes")),
        store_free=number(fields.get("free"), MOST, "free"),
    )


def _deployment_fields(state: DeploymentState | None) -> list[Any] | None:
    if state is None:
        return None
    where = [str(state.phase), state.since, state.done, state.length, state.reason, state.ticket]
    return [state.component, state.version, state.release, *where]


def _update_fields(update: Update) -> list[Any]:
    how = [str(update.phase), update.at, update.reason, update.detail, update.resumed]
    return [update.component, update.version, update.release, *how]


def _deployment(value: Any) -> DeploymentState | None:
    if value is None:
        return None
    component, version, release, phase, since, done, length, reason, ticket = _row(value, 9)
    return DeploymentState(
        *_release(component, version, release),
        phase=one_of(phase, Phase, "phase"),
        since=number(since, MOST, "since"),
        done=number(done, MOST, "done"),
        length=number(length, MOST, "length"),
        reason=printable(reason, REASON_BYTES, "reason"),
        ticket=number(ticket, MOST, "ticket"),
    )


def _update(value: Any) -> Update:
    component, version, release, phase, at, reason, detail, resumed = _row(value, 8)
    return Update(
        *_release(component, version, release),
        phase=one_of(phase, Phase, "phase"),
        at=number(at, MOST, "at"),
        reason=printable(reason, REASON_BYTES, "reason"),
        detail=printable(detail, DETAIL_BYTES, "detail"),
        resumed=number(resumed, MOST, "resumed"),
    )


def _halt(value: Any) -> Halt:
    component, release, resumed = _row(value, 3)
    return Halt(
        _component(component),
        release=number(release, MOST, "release"),
        resumed=number(resumed, MOST, "resumed"),
    )


def _component_state(value: Any) -> ComponentState:
    return ComponentState(*_release(*_row(value, 3)))


def _release(component: Any, version: Any, release: Any) -> tuple[ComponentId, str, int]:
    named = _component(component), printable(version, VERSION_BYTES, "version")
    return *named, number(release, MOST, "release")


def _component(value: Any) -> ComponentId:
    return ComponentId(matching(value, COMPONENT_PATTERN, "component"))


def _link(value: Any) -> Link:
    name, address = _row(value, 2)
    try:
        if str(ip_address(printable(address, NAME_BYTES, "links"))) != address:
            raise ValueError
    except ValueError as error:
        raise ProtocolError("a link has no IP address") from error
    return Link(printable(name, LINK_BYTES, "name"), address)


def _counts(value: Any) -> ByteCounts:
    numbers = [number(each, MOST, "bytes") for each in _row(value, len(COUNTS))]
    return ByteCounts(**dict(zip(COUNTS, numbers, strict=True)))


def _name(value: Any) -> str:
    return printable(value, NAME_BYTES, "name")


def _row(value: Any, length: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise ProtocolError(f"not a list of {length} fields")
    return value
