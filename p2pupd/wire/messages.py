"""What neighbours say to each other besides bundles: small msgpack maps, strictly checked."""

import re
from dataclasses import dataclass
from typing import Any, Final

from p2pupd.errors import ProtocolError
from p2pupd.model.device import Role
from p2pupd.model.ids import SHA256_PATTERN, DeviceId, ManifestDigest, Realm
from p2pupd.wire import codec

PROTOCOL_VERSION: Final = 1
MAX_BYTES: Final = 1024
DEVICE_PATTERN: Final = re.compile(r"[a-z2-7]{52}", re.ASCII)
REALM_PATTERN: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
VIEW_PATTERN: Final = re.compile(r"(?:[0-9a-f]{16})?", re.ASCII)
VERSION_PATTERN: Final = re.compile(r"[A-Za-z0-9.+-]{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hello:
    """Who answers: `manifest` is the full digest, empty while there is none; ports are TCP.

    `uplink`: it can fetch from far away now. `view` is the digest of what it has heard of the
    floor, in 16 hex digits; empty from devices that do not tell.
    """

    id: DeviceId
    realm: Realm
    manifest: ManifestDigest
    role: Role
    port: int
    bt_port: int
    version: str
    uplink: bool = False
    view: str = ""

    def encode(self) -> bytes:
        """As sent."""
        return codec.pack(
            {
                "v": PROTOCOL_VERSION,
                "id": self.id,
                "realm": self.realm,
                "manifest": self.manifest,
                "role": str(self.role),
                "port": self.port,
                "bt": self.bt_port,
                "version": self.version,
                "up": self.uplink,
                "r": self.view,
            }
        )


@dataclass(frozen=True, slots=True)
class Notify:
    """ "My manifest is now `manifest`, and so is my uplink; ask me on `port`."

    Empty while there is none: a device that was told where we are learns so of us.
    """

    id: DeviceId
    manifest: ManifestDigest
    port: int
    uplink: bool = False

    def encode(self) -> bytes:
        """As sent."""
        return codec.pack(
            {
                "v": PROTOCOL_VERSION,
                "id": self.id,
                "manifest": self.manifest,
                "port": self.port,
                "up": self.uplink,
            }
        )


def decode_hello(raw: bytes) -> Hello:
    """Raises ProtocolError for anything but a well-formed hello; unknown keys are ignored."""
    fields = _fields(raw)
    try:
        role = Role(_text(fields, "role"))
    except ValueError as error:
        raise ProtocolError(f"unknown role: {error}") from error
    return Hello(
        id=DeviceId(_matching(fields, "id", DEVICE_PATTERN)),
        realm=Realm(_matching(fields, "realm", REALM_PATTERN)),
        manifest=_manifest(fields),
        role=role,
        port=_port(fields, "port"),
        bt_port=_port(fields, "bt"),
        version=_matching(fields, "version", VERSION_PATTERN),
        uplink=_flag(fields, "up"),
        view=_view(fields),
    )


def decode_notify(raw: bytes) -> Notify:
    """Raises ProtocolError for anything but a well-formed notification."""
    fields = _fields(raw)
    return Notify(
        id=DeviceId(_matching(fields, "id", DEVICE_PATTERN)),
        manifest=_manifest(fields),
        port=_port(fields, "port"),
        uplink=_flag(fields, "up"),
    )


def _fields(raw: bytes) -> dict[str, Any]:
    value = codec.unpack(raw, MAX_BYTES)
    if not isinstance(value, dict) or value.get("v") != PROTOCOL_VERSION:
        raise ProtocolError(f"not a message of protocol version {PROTOCOL_VERSION}")
    return value


def _manifest(fields: dict[str, Any]) -> ManifestDigest:
    value = _text(fields, "manifest")
    if value and SHA256_PATTERN.fullmatch(value) is None:
        raise ProtocolError("`manifest` is not a digest")
    return ManifestDigest(value)


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise ProtocolError(f"`{key}` is missing or not text")
    return value


def _matching(fields: dict[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = _text(fields, key)
    if pattern.fullmatch(value) is None:
        raise ProtocolError(f"`{key}` is malformed")
    return value


def _flag(fields: dict[str, Any], key: str) -> bool:
    """Absent means no: that is what devices of before say."""
    value = fields.get(key, False)
    if not isinstance(value, bool):
        raise ProtocolError(f"`{key}` is not true or false")
    return value


def _view(fields: dict[str, Any]) -> str:
    """Absent from devices of before."""
    return _matching(fields, "r", VIEW_PATTERN) if "r" in fields else ""


def _port(fields: dict[str, Any], key: str) -> int:
    value = fields.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 65535:
        raise ProtocolError(f"`{key}` is not a port number")
    return value
