"""A device's status record in msgpack: every count and every length bounded.

Lists of fixed fields instead of maps inside, as a floor's records are what it talks about most.
Whoever makes a record clips what is too long (`clipped`); a record that is over a limit is refused
whole. Text is printable, because it is shown on screens.
"""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final, TypeVar

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
from p2pupd.wire import codec

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
MOST: Final = (1 << 53) - 1
LAST_EPOCH: Final = (1 << 32) - 1

T = TypeVar("T")
Fields = dict[str, Any]
COUNTS: Final = ("lan", "uplink", "usb", "reuse", "sent", "wasted")


def clipped(text: str, most: int) -> str:
    """`text` in at most `most` bytes of UTF-8, with `?` for what no screen shows."""
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return shown.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def encode(record: StatusRecord) -> bytes:
    """The payload to sign; the device's id is not in it, because it follows from the key."""
    fields: Fields = {
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
    fields = codec.unpack(payload, MAX_BYTES)
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        raise ProtocolError(f"not a status record of version {VERSION}")
    return StatusRecord(
        device=device,
        realm=Realm(_bytes(fields, "realm", 8, 8).hex()),
        site=_text(fields.get("site"), NAME_BYTES),
        epoch=_number(fields.get("e"), LAST_EPOCH),
        sequence=_number(fields.get("n")),
        news=_number(fields.get("news")),
        at=_number(fields.get("at")),
        beat=_number(fields.get("beat"), LONGEST_BEAT),
        role=_one_of(Role, fields.get("role")),
        version=_text(fields.get("ver"), VERSION_BYTES),
        model=_text(fields.get("model"), NAME_BYTES),
        hardware_ids=_list(fields, "hw", MAX_HARDWARE, _name),
        groups=_list(fields, "grp", MAX_GROUPS, _name),
        port=_number(fields.get("port"), 65535),
        links=_list(fields, "ln", MAX_LINKS, _link),
        components=_list(fields, "co", MAX_COMPONENTS, _component_state),
        deployment=_deployment(fields.get("dep")),
        history=_list(fields, "hist", MAX_HISTORY, _update),
        holds=_holds(_bytes(fields, "has", 0, MAX_HOLDS * HOLD_BYTES)),
        halts=_list(fields, "halt", MAX_HALTS, _halt),
        counts=_counts(fields.get("bytes")),
        store_free=_number(fields.get("free")),
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
        phase=_one_of(Phase, phase),
        since=_number(since),
        done=_number(done),
        length=_number(length),
        reason=_text(reason, REASON_BYTES),
        ticket=_number(ticket),
    )


def _update(value: Any) -> Update:
    component, version, release, phase, at, reason, detail, resumed = _row(value, 8)
    return Update(
        *_release(component, version, release),
        phase=_one_of(Phase, phase),
        at=_number(at),
        reason=_text(reason, REASON_BYTES),
        detail=_text(detail, DETAIL_BYTES),
        resumed=_number(resumed),
    )


def _halt(value: Any) -> Halt:
    component, release, resumed = _row(value, 3)
    return Halt(_component(component), _number(release), _number(resumed))


def _component_state(value: Any) -> ComponentState:
    return ComponentState(*_release(*_row(value, 3)))


def _release(component: Any, version: Any, release: Any) -> tuple[ComponentId, str, int]:
    return _component(component), _text(version, VERSION_BYTES), _number(release)


def _component(value: Any) -> ComponentId:
    if not isinstance(value, str) or COMPONENT_PATTERN.fullmatch(value) is None:
        raise ProtocolError("a component's name is malformed")
    return ComponentId(value)


def _link(value: Any) -> Link:
    name, address = _row(value, 2)
    try:
        if str(ip_address(_text(address, NAME_BYTES))) != address:
            raise ValueError
    except ValueError as error:
        raise ProtocolError("a link has no IP address") from error
    return Link(_text(name, LINK_BYTES), address)


def _counts(value: Any) -> ByteCounts:
    numbers = [_number(each) for each in _row(value, len(COUNTS))]
    return ByteCounts(**dict(zip(COUNTS, numbers, strict=True)))


def _holds(raw: bytes) -> tuple[str, ...]:
    if len(raw) % HOLD_BYTES:
        raise ProtocolError("a digest is cut off")
    return tuple(raw[start : start + HOLD_BYTES].hex() for start in range(0, len(raw), HOLD_BYTES))


def _name(value: Any) -> str:
    return _text(value, NAME_BYTES)


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value.encode()) > most or not value.isprintable():
        raise ProtocolError(f"not printable text of at most {most} bytes")
    return value


def _number(value: Any, most: int = MOST) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ProtocolError(f"not a whole number from 0 to {most}")
    return value


def _bytes(fields: Fields, key: str, least: int, most: int) -> bytes:
    value = fields.get(key)
    if not isinstance(value, bytes) or not least <= len(value) <= most:
        raise ProtocolError(f"`{key}` is not {least} to {most} bytes")
    return value


def _row(value: Any, length: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise ProtocolError(f"not a list of {length} fields")
    return value


def _list(fields: Fields, key: str, most: int, read: Callable[[Any], T]) -> tuple[T, ...]:
    value = fields.get(key)
    if not isinstance(value, list) or len(value) > most:
        raise ProtocolError(f"`{key}` is not a list of at most {most}")
    return tuple(read(each) for each in value)


def _one_of(kind: Callable[[Any], T], value: Any) -> T:
    try:
        return kind(value)
    except ValueError as error:
        raise ProtocolError(str(error)[:NAME_BYTES]) from error
