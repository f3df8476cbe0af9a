"""What an announcement looks like in multicast DNS (RFC 6763), and back with suspicion.

Service `_p2pupd._tcp.local.`, instance name = device id, port = peer API, at most 400 bytes of TXT:
`v` = 1, `id`, `realm`, `m` (first 16 digits of the manifest digest, empty without one), `bt`
(BitTorrent port), `role`, and `up` = 1 while it has an uplink. Never a model or host name.
"""

import re
from collections.abc import Sequence
from typing import Final

from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo

from p2pupd.model.device import Announcement, Neighbour, Role
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.wire.messages import DEVICE_PATTERN, REALM_PATTERN

SERVICE: Final = "_p2pupd._tcp.local."
TXT_VERSION: Final = b"1"
TXT_LIMIT: Final = 400
DIGEST: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)


def instance(name: str) -> DeviceId | None:
    """The device id in an instance's full name; None where the name is not one of ours."""
    label = name.lower().removesuffix("." + SERVICE)
    return DeviceId(label) if DEVICE_PATTERN.fullmatch(label) else None


def service_info(announcement: Announcement, addresses: Sequence[str]) -> AsyncServiceInfo:
    """The records to register; `addresses` are this device's IPv4 addresses."""
    uplink = {b"up": b"1"} if announcement.uplink else {}
    return AsyncServiceInfo(
        SERVICE,
        f"{announcement.id}.{SERVICE}",
        port=announcement.port,
        properties={
            b"v": TXT_VERSION,
            b"id": announcement.id.encode(),
            b"realm": announcement.realm.encode(),
            b"m": announcement.manifest.encode(),
            b"bt": str(announcement.bt_port).encode(),
            b"role": announcement.role.encode(),
        }
        | uplink,
        server=f"{announcement.id}.local.",
        parsed_addresses=list(addresses),
    )


def neighbour_from(info: AsyncServiceInfo, source: str, now: float) -> Neighbour | None:
    """The neighbour that these records claim; None where they are not by the rules above."""
    device = instance(info.name)
    hosts = info.parsed_addresses(IPVersion.V4Only)
    if device is None or not hosts or not info.port or len(info.text or b"") > TXT_LIMIT:
        return None
    text = {key: value or b"" for key, value in info.properties.items()}
    realm, manifest, bt_port = (_ascii(text.get(key, b"")) for key in (b"realm", b"m", b"bt"))
    role = _ascii(text.get(b"role", b""))
    lawful = (
        text.get(b"v") == TXT_VERSION
        and text.get(b"id") == device.encode()
        and REALM_PATTERN.fullmatch(realm)
        and (not manifest or DIGEST.fullmatch(manifest))
        and PORT.fullmatch(bt_port)
        and int(bt_port) < 65536
        and role in Role.__members__.values()
    )
    if not lawful:
        return None
    return Neighbour(
        id=device,
        host=hosts[0],
        port=info.port,
        bt_port=int(bt_port),
        realm=Realm(realm),
        manifest=manifest,
        role=Role(role),
        source=source,
        last_seen=now,
        uplink=text.get(b"up") == b"1",
    )


def _ascii(raw: bytes) -> str:
    return raw.decode("ascii", "replace")
