"""What neighbours say to each other besides bundles: small msgpack maps, strictly checked."""

import re
from dataclasses import dataclass
from typing import Any, Final

from p2pupd.errors import ProtocolError
from p2pupd.model.device import Role
from p2pupd.model.ids import SHA256_PATTERN, DeviceId, ManifestDigest, Realm
from p2pupd.wire import codec
from p2pupd.wire.fields import LAST_PORT, matching, number, one_of, versioned

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
    fields = versioned(codec.unpack(raw, MAX_BYTES), PROTOCOL_VERSION, "a hello")
    return Hello(
        id=DeviceId(matching(fields.get("id"), DEVICE_PATTERN, "id")),
        realm=Realm(matching(fields.get("realm"), REALM_PATTERN, "realm")),
        manifest=_manifest(fields),
        role=one_of(fields.get("role"), Role, "role"),
        port=number(fields.get("port"), LAST_PORT, "port"),
        bt_port=number(fields.get("bt"), LAST_PORT, "bt"),
        version=matching(fields.get("version"), VERSION_PATTERN, "version"),
        uplink=_uplink(fields),
        view=matching(fields.get("r", ""), VIEW_PATTERN, "r"),
    )


def decode_notify(raw: bytes) -> Notify:
    """Raises ProtocolError for anything but a well-formed notification."""
    fields = versioned(codec.unpack(raw, MAX_BYTES), PROTOCOL_VERSION, "a notification")
    return Notify(
        id=DeviceId(matching(fields.get("id"), DEVICE_PATTERN, "id")),
        manifest=_manifest(fields),
        port=number(fields.get("port"), LAST_PORT, "port"),
        uplink=_uplink(fields),
    )


def _manifest(fields: dict[str, Any]) -> ManifestDigest:
    """A digest, or empty while there is none."""
    value = fields.get("manifest")
    return ManifestDigest("" if value == "" else matching(value, SHA256_PATTERN, "manifest"))


def _uplink(fields: dict[str, Any]) -> bool:
    """Absent means no: that is what devices of before say."""
    value = fields.get("up", False)
    if not isinstance(value, bool):
        raise ProtocolError("`up` is not true or false")
    return value
