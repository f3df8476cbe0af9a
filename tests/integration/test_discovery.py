"""Real multicast DNS between processes: on loopback, and over links that come and go."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import pytest
from zeroconf import DNSOutgoing  # type: ignore[attr-defined]

from p2pupd.discovery.interfaces import InterfaceWatcher
from p2pupd.discovery.mdns import MdnsDiscovery
from p2pupd.discovery.records import service_info
from p2pupd.discovery.settings import DiscoverySettings
from p2pupd.discovery.view import View
from p2pupd.errors import HostError
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.feeds.peer_client import PeerClient
from p2pupd.model.device import Announcement, Role
from p2pupd.model.ids import DeviceId, ManifestDigest, Realm
from p2pupd.model.setting import Seconds
from p2pupd.wire.messages import Notify
from tests.integration.discovery_node import device
from tests.support import eventually, needs_root, needs_tool, running
from tests.unit.discovery.floor import Heard

ME = 0


@pytest.fixture
def realm() -> Realm:
    """Multicast on loopback reaches every test that runs now: each has its own realm and ids."""
    return Realm(secrets.token_hex(8))


@pytest.fixture
def subnet() -> str:
    """`127.x.y.`, most likely used by no other test."""
    return f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250) + 1}."


@contextmanager
def node(
    interface: str, number: int, realm: str, listen: str, *prefix: str, port: int = 0
) -> Iterator[subprocess.Popen[str]]:
    """A device in a process of its own, killed at the end."""
    process = subprocess.Popen(
        [
            *prefix,
            sys.executable,
            "-m",
            "tests.integration.discovery_node",
            interface,
            str(number),
            realm,
            listen,
            str(port),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


class Floor:
    """This device: what mDNS tells it, and what its view makes of that."""

    def __init__(self, settings: DiscoverySettings, realm: Realm, client: PeerClient) -> None:
        self.heard = Heard()
        self.client = client
        self.watcher = InterfaceWatcher(settings)
        self.view = View(
            settings,
            device(realm, ME),
            realm,
            ask_hello=client.hello,
            interfaces=self.watcher,
            listener=self.heard,
        )
        announcement = Announcement(device(realm, ME), realm, "", Role.PEER, 7830, 6881)
        self.mdns = MdnsDiscovery(settings, announcement, self.watcher)

    def ids(self) -> set[DeviceId]:
        return {neighbour.id for neighbour in self.view.neighbours()}


@asynccontextmanager
async def floor_of(interface: str, realm: Realm, **changes: float) -> AsyncIterator[Floor]:
    settings = replace(
        DiscoverySettings(interfaces=(interface,), settle=Seconds(0.05)),
        **changes,  # type: ignore[arg-type]
    )
    patience = NeighbourFeedSettings(connect_timeout=Seconds(0.5), answer_timeout=Seconds(2))
    async with PeerClient(patience) as client:
        floor = Floor(settings, realm, client)
        async with running(floor.watcher.run(), floor.view.run(), floor.mdns.run(floor.view)):
            yield floor


async def test_processes_find_each_other_whichever_was_there_first(
    realm: Realm, subnet: str
) -> None:
    with node(subnet + "1", 1, realm, subnet + "1") as first:
        assert first.stdout
        assert "port" in first.stdout.readline()
        async with floor_of(subnet + "9", realm) as floor:
            await eventually(lambda: floor.ids() == {device(realm, 1)})
            with node(subnet + "2", 2, realm, subnet + "2"):
                await eventually(lambda: floor.ids() == {device(realm, 1), device(realm, 2)})

    assert {neighbour.host for neighbour in floor.heard.seen} == {subnet + "1", subnet + "2"}


async def test_devices_that_start_at_the_same_moment_all_hear_of_each_other(
    realm: Realm, subnet: str
) -> None:
    heard = [Heard() for _ in range(6)]
    everybody = {device(realm, number) for number in range(6)}

    def discovery(number: int) -> MdnsDiscovery:
        settings = DiscoverySettings(interfaces=(f"{subnet}{number + 1}",))
        announcement = Announcement(device(realm, number), realm, "", Role.PEER, 7830, 6881)
        return MdnsDiscovery(settings, announcement, InterfaceWatcher(settings))

    async with running(*(discovery(number).run(heard[number]) for number in range(6))):
        await eventually(
            lambda: all(everybody <= {one.id for one in listener.seen} for listener in heard),
            within=3,
        )


async def test_a_change_is_heard_at_once_and_a_goodbye_too(realm: Realm, subnet: str) -> None:
    async with floor_of(subnet + "9", realm) as floor:
        with node(subnet + "1", 1, realm, subnet + "1") as process:
            await eventually(floor.ids)

            process.send_signal(signal.SIGUSR1)
            await eventually(lambda: floor.view.neighbours()[0].manifest == "1" * 16, within=2)
            process.terminate()
            await eventually(lambda: floor.heard.lost == [(device(realm, 1), "view")], within=2)


async def test_a_killed_device_is_lost_on_suspicion_and_found_again_when_it_returns(
    realm: Realm, subnet: str
) -> None:
    async with floor_of(subnet + "9", realm, lost_after=1) as floor:
        with node(subnet + "1", 1, realm, subnet + "1") as process:
            await eventually(floor.ids)
            port = floor.view.neighbours()[0].port
        assert process.returncode == -signal.SIGKILL

        notify = Notify(device(realm, ME), ManifestDigest("a" * 64), 7830)
        (missed,) = await floor.client.notify(floor.view.neighbours(), notify)
        floor.view.suspect(missed)
        await eventually(lambda: not floor.ids())

        with node(subnet + "1", 1, realm, subnet + "1", port=port):
            await eventually(floor.ids)


async def test_a_device_of_another_realm_on_the_same_network_is_ignored(
    realm: Realm, subnet: str
) -> None:
    async with floor_of(subnet + "9", realm) as floor:
        with (
            node(subnet + "1", 1, realm[::-1], subnet + "1") as other,
            node(subnet + "2", 2, realm, subnet + "2"),
        ):
            assert other.stdout
            assert "port" in other.stdout.readline()
            await eventually(floor.ids)

            assert floor.ids() == {device(realm, 2)}
            assert len(floor.view) == 1


async def test_a_flood_of_forged_announcements_is_bounded_and_a_real_device_still_found(
    realm: Realm, subnet: str
) -> None:
    async with floor_of(subnet + "9", realm, probe_rate=100) as floor:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            own = socket.inet_aton(subnet + "66")
            attacker.bind((subnet + "66", 0))
            attacker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
            for number in range(10, 1000):
                attacker.sendto(forged(number, realm, subnet), ("224.0.0.251", 5353))
                await asyncio.sleep(0)
        await eventually(lambda: len(floor.view) > 200)
        assert len(floor.view) <= DiscoverySettings().candidates

        with node(subnet + "1", 1, realm, subnet + "1"):
            await eventually(lambda: floor.ids() == {device(realm, 1)}, within=20)
        assert len(floor.view) <= DiscoverySettings().candidates


def forged(number: int, realm: Realm, subnet: str) -> bytes:
    """The announcement of a device that is not there."""
    announcement = Announcement(device(realm, number), realm, "", Role.SEED, 9, 9)
    info = service_info(announcement, [subnet + str(number % 50 + 100)])
    packet = DNSOutgoing(0x8400)
    for record in (info.dns_pointer(), info.dns_service(), info.dns_text(), *info.dns_addresses()):
        packet.add_answer_at_time(record, 0)
    (raw,) = packet.packets()
    return bytes(raw)


async def test_a_multicast_port_that_another_program_keeps_is_a_host_error(subnet: str) -> None:
    settings = DiscoverySettings(interfaces=(subnet + "1",))
    announcement = Announcement(DeviceId("a" * 52), Realm("0" * 16), "", Role.PEER, 7830, 6881)
    watcher = InterfaceWatcher(settings)
    watcher.used = tuple(replace(local, address="192.0.2.254") for local in watcher.used)

    with pytest.raises(HostError, match=r"multicast DNS on 192\.0\.2\.254"):
        await MdnsDiscovery(settings, announcement, watcher).run(Heard())


class Link:
    """A cable between this machine and a network namespace, which can be unplugged for good."""

    def __init__(self) -> None:
        tag = os.getpid() % 10**6
        self.namespace, self.near, self.far = f"p2p{tag}", f"p2pn{tag}", f"p2pf{tag}"
        self.subnet = f"198.18.{secrets.randbelow(250) + 1}."
        ip("netns", "add", self.namespace)

    def plug(self) -> None:
        ip(*f"link add {self.near} type veth peer name {self.far}".split())
        ip(*f"link set {self.far} netns {self.namespace}".split())
        ip(*f"addr add {self.subnet}1/24 dev {self.near}".split())
        ip(*f"-n {self.namespace} addr add {self.subnet}2/24 dev {self.far}".split())
        ip(*f"link set {self.near} up".split())
        ip(*f"-n {self.namespace} link set {self.far} up".split())

    def unplug(self) -> None:
        ip("link", "del", self.near)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def link() -> Iterator[Link]:
    made = Link()
    yield made
    ip("netns", "del", made.namespace)
    subprocess.run(["ip", "link", "del", made.near], check=False, capture_output=True)


@needs_root
@needs_tool("ip")
async def test_devices_find_each_other_on_links_that_come_vanish_and_return(
    link: Link, realm: Realm
) -> None:
    inside = ("ip", "netns", "exec", link.namespace)
    settings = {"check_interval": 0.5, "lost_after": 1}
    async with floor_of(link.near, realm, **settings) as floor:
        with node(link.far, 1, realm, "0.0.0.0", *inside) as process:
            assert process.stdout
            assert "port" in process.stdout.readline()
            assert floor.watcher.used == ()

            link.plug()
            await eventually(floor.ids)
            for _ in range(2):
                link.unplug()
                await eventually(lambda: not floor.ids())
                link.plug()
                await eventually(floor.ids)
