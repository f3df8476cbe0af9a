"""A device's neighbour-facing half in a process of its own: interfaces, mDNS and the peer API.

python -m tests.integration.discovery_node INTERFACE NUMBER REALM LISTEN PORT

Runs until SIGTERM; SIGUSR1 changes the manifest that it announces. Prints its port when it is up.
"""

import asyncio
import base64
import hashlib
import signal
import sys
from dataclasses import replace
from pathlib import Path

from p2pupd.api.peer import listen, peer_app, serve
from p2pupd.api.settings import PeerApiSettings
from p2pupd.discovery.interfaces import InterfaceWatcher
from p2pupd.discovery.mdns import MdnsDiscovery
from p2pupd.discovery.settings import DiscoverySettings
from p2pupd.model.device import Announcement, Neighbour, Role
from p2pupd.model.ids import NO_MANIFEST, DeviceId, ManifestDigest, Realm, Sha256
from p2pupd.wire.messages import Hello, Notify


def device(realm: str, number: int) -> DeviceId:
    """The id of a test's device: its own, because records of an id are heard by every test."""
    digest = hashlib.sha256(f"{realm} {number}".encode()).digest()
    return DeviceId(base64.b32encode(digest).decode().lower().rstrip("="))


class State:
    """What this device tells."""

    def __init__(self, number: int, realm: str, port: int) -> None:
        self._hello = Hello(
            device(realm, number), Realm(realm), NO_MANIFEST, Role.PEER, port, 6881, "0.1.0"
        )
        self.announcement = Announcement(
            device(realm, number), Realm(realm), "", Role.PEER, port, self._hello.bt_port
        )

    def hello(self) -> Hello:
        return self._hello

    def bundle(self) -> tuple[ManifestDigest, bytes] | None:
        return None

    async def artifact(self, _sha256: Sha256, _part: tuple[int, int] | None) -> Path | None:
        return None

    async def layer(self, _sha256: Sha256) -> bytes | None:
        return None

    def sent(self, _sha256: Sha256, _amount: int) -> None:
        pass

    async def log(self) -> bytes:
        return b"lines"

    async def sync(self, raw: bytes) -> bytes:
        raise AssertionError("this device has no view of the floor")

    def notified(self, notify: Notify, address: str) -> None:
        print("notified", notify.id, address, flush=True)


class Deaf:
    def neighbour_seen(self, neighbour: Neighbour) -> None:
        pass

    def neighbour_lost(self, neighbour: DeviceId, source: str) -> None:
        pass


async def main(interface: str, number: str, realm: str, address: str, port: str) -> None:
    api = PeerApiSettings(listen=(address,), port=int(port))
    sockets = listen(api)
    state = State(int(number), realm, sockets[0].getsockname()[1])
    settings = DiscoverySettings(interfaces=(interface,))
    watcher = InterfaceWatcher(settings)
    mdns = MdnsDiscovery(settings, state.announcement, watcher)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    changed = replace(state.announcement, manifest="1" * 16)
    loop.add_signal_handler(signal.SIGUSR1, mdns.announce, changed)
    async with asyncio.TaskGroup() as group:
        services = [
            group.create_task(watcher.run()),
            group.create_task(serve(peer_app(state, api), sockets, api)),
            group.create_task(mdns.run(Deaf())),
        ]
        print("port", state.announcement.port, flush=True)
        await ended.wait()
        for service in services:
            service.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
