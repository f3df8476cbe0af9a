"""A floor of devices that answer hellos, and a listener that remembers what it is told."""

import asyncio
from typing import Any

from p2pupd.errors import FetchError
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.ids import NO_MANIFEST, DeviceId, ManifestDigest, Realm
from p2pupd.wire.messages import Hello

REALM = Realm("0123456789abcdef")
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def device(number: int) -> DeviceId:
    """One of a thousand ids."""
    return DeviceId((LETTERS[number // 32] + LETTERS[number % 32]) * 26)


def hello(
    number: int,
    manifest: ManifestDigest = NO_MANIFEST,
    realm: Realm = REALM,
    bt_port: int = 6881,
    *,
    uplink: bool = False,
) -> Hello:
    return Hello(device(number), realm, manifest, Role.PEER, 7830, bt_port, "0.1.0", uplink)


def hint(number: int, host: str = "", source: str = "mdns", realm: Realm = REALM) -> Neighbour:
    """What a source claims of device `number`, whose own address is 127.0.x.y."""
    return Neighbour(
        device(number), host or address(number), 7830, 6881, realm, "", Role.PEER, source
    )


def address(number: int) -> str:
    return f"127.0.{number // 250 + 1}.{number % 250 + 1}"


class Floor:
    """Who answers, by address."""

    def __init__(self) -> None:
        self.answers: dict[str, Hello] = {}
        self.asked: list[str] = []
        self.answering = asyncio.Event()
        self.answering.set()

    def add(self, number: int, **changes: Any) -> None:
        self.answers[address(number)] = hello(number, **changes)

    async def ask(self, host: str, _: int) -> Hello:
        self.asked.append(host)
        await self.answering.wait()
        if host not in self.answers:
            raise FetchError(f"{host} does not answer")
        return self.answers[host]


class Heard:
    """A `DiscoveryListener`."""

    def __init__(self) -> None:
        self.seen: list[Neighbour] = []
        self.lost: list[tuple[DeviceId, str]] = []

    def neighbour_seen(self, neighbour: Neighbour) -> None:
        self.seen.append(neighbour)

    def neighbour_lost(self, neighbour: DeviceId, source: str) -> None:
        self.lost.append((neighbour, source))


async def idle() -> None:
    """Let everything that can happen without time passing happen."""
    for _ in range(50):
        await asyncio.sleep(0)
