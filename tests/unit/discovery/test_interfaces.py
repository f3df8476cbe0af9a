import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from p2pupd.discovery.interfaces import (
    LOOPBACK,
    MULTICAST,
    POINT_TO_POINT,
    RUNNING,
    UP,
    InterfaceWatcher,
    LocalAddress,
    choose,
    local_addresses,
)
from p2pupd.discovery.settings import DiscoverySettings
from p2pupd.model.setting import Seconds
from tests.support import eventually, needs_root, needs_tool, running

LO = LocalAddress("lo", 1, "127.0.0.1", 8, UP | RUNNING | LOOPBACK)
ETH = LocalAddress("eth0", 2, "192.0.2.2", 24, UP | RUNNING | MULTICAST)
ETH6 = LocalAddress("eth0", 2, "fd00::2", 64, UP | RUNNING | MULTICAST)
TUN = LocalAddress("tun0", 3, "10.9.0.2", 32, UP | RUNNING | MULTICAST | POINT_TO_POINT)
ALL = (LO, ETH, ETH6, TUN)


def test_the_kernel_lists_loopback_with_its_network() -> None:
    found = {local.address: local for local in local_addresses()}

    loopback = found["127.0.0.1"]
    assert (loopback.interface, loopback.index) == ("lo", socket.if_nametoindex("lo"))
    assert str(loopback.network) == "127.0.0.0/8"
    assert loopback.flags & LOOPBACK


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ((), (ETH, ETH6)),
        (("eth0",), (ETH, ETH6)),
        (("192.0.2.2",), (ETH,)),
        (("lo", "tun0"), (LO, TUN)),
        (("192.0.2.3", "wlan0"), ()),
    ],
)
def test_the_setting_says_which_are_used(
    wanted: tuple[str, ...], chosen: tuple[LocalAddress, ...]
) -> None:
    assert choose(ALL, wanted) == chosen


def test_any_loopback_address_can_be_wanted_without_being_configured() -> None:
    (local,) = choose(ALL, ("127.0.0.5",))

    assert (local.interface, local.address, str(local.network)) == (
        "lo",
        "127.0.0.5",
        "127.0.0.0/8",
    )


async def test_neighbours_may_be_in_the_networks_in_use() -> None:
    watcher = InterfaceWatcher(DiscoverySettings(interfaces=("127.0.0.5",)))

    assert watcher.allows("127.3.4.5")
    assert not watcher.allows("192.0.2.9")
    assert not watcher.allows("seed.local")


async def test_configured_networks_replace_the_local_ones() -> None:
    settings = DiscoverySettings(interfaces=("lo",), networks=("192.0.2.0/24",))
    watcher = InterfaceWatcher(settings)

    assert watcher.allows("192.0.2.9")
    assert not watcher.allows("127.0.0.1")


async def test_no_more_addresses_are_used_than_set() -> None:
    watcher = InterfaceWatcher(DiscoverySettings(interfaces=("lo",), max_interfaces=1))

    assert [local.address for local in watcher.used] == ["127.0.0.1"]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def link() -> Iterator[str]:
    """The name of an interface that the test may make, with `<name>p` at its other end."""
    name = f"p2p{os.getpid() % 10**7}"
    yield name
    subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)


@needs_root
@needs_tool("ip")
async def test_an_interface_that_comes_goes_and_returns_is_noticed(link: str) -> None:
    watcher = InterfaceWatcher(DiscoverySettings(interfaces=(link,), settle=Seconds(0.01)))
    assert watcher.used == ()

    def make() -> None:
        ip("link", "add", link, "type", "veth", "peer", "name", f"{link}p")
        ip("addr", "add", "203.0.113.1/28", "dev", link)
        ip("link", "set", link, "up")
        ip("link", "set", f"{link}p", "up")

    def index() -> int:
        return next((x.index for x in watcher.used if x.address == "203.0.113.1"), 0)

    async with running(watcher.run()):
        make()
        async with asyncio.timeout(5):
            await watcher.changed(())
        before = await eventually(index)

        ip("link", "set", f"{link}p", "down")
        await eventually(lambda: not watcher.used)

        ip("link", "del", link)
        make()
        await eventually(lambda: index() not in (0, before))
