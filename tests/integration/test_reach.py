"""Probing multicast on networks that are well, lonely, filtered, or closed by a firewall."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from zeroconf import ServiceInfo, Zeroconf

from p2pupd.discovery.interfaces import LocalAddress, choose, local_addresses
from p2pupd.discovery.reach import probe
from p2pupd.discovery.records import SERVICE
from scenarios.lib.net import Host, network
from tests.support import needs_root, needs_tool

LISTEN = 2.5
PROBE = f"""
import json
from p2pupd.discovery.interfaces import choose, local_addresses
from p2pupd.discovery.reach import probe
reach = probe(choose(local_addresses(), ["eth0"])[0], {LISTEN})
print(json.dumps([reach.error, reach.echoed, sorted(reach.answered), sorted(reach.heard)]))
"""
FIREWALL = (
    "add table inet f; add chain inet f c {{ type filter hook {} priority 0; }}; "
    "add rule inet f c {} drop"
)


def test_a_neighbour_on_loopback_is_heard() -> None:
    subnet = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250) + 1}"
    mdns = Zeroconf(interfaces=[f"{subnet}.2"])
    try:
        name = f"{secrets.token_hex(8)}.{SERVICE}"
        info = ServiceInfo(
            SERVICE, name, port=1, server="n.local.", parsed_addresses=[subnet + ".2"]
        )
        mdns.register_service(info, cooperating_responders=True)
        (local,) = choose(local_addresses(), [f"{subnet}.1"])
        reach = probe(local, LISTEN)
    finally:
        mdns.close()
    assert reach.echoed
    assert f"{subnet}.2" in reach.heard
    assert reach.answered
    assert local.address not in reach.heard | reach.answered


def test_an_address_that_is_gone_is_an_error_and_no_traceback() -> None:
    assert probe(LocalAddress("eth0", 2, "192.0.2.77", 24, 0), 1).error == (
        "Cannot assign requested address"
    )


@contextmanager
def neighbour(host: Host) -> Iterator[None]:
    """A device that announces itself on `host`."""
    command = [
        *(*host.prefix, sys.executable, "-m", "tests.integration.discovery_node"),
        *("eth0", "1", secrets.token_hex(8), host.address, "0"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("port ")
        yield
    finally:
        process.kill()
        process.communicate()


def _probe(host: Host) -> tuple[str, bool, list[str], list[str]]:
    command = [*host.prefix, sys.executable, "-c", PROBE]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    error, echoed, answered, heard = json.loads(ended.stdout)
    return error, echoed, answered, heard


def _filter(host: Host, hook: str, what: str) -> None:
    command = [*host.prefix, "nft", FIREWALL.format(hook, what)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    """This host and another one, on one switch."""
    with network() as net:
        yield net.host(), net.host()


@needs_root
@needs_tool("ip")
def test_on_a_good_network_the_neighbour_is_heard(hosts: tuple[Host, Host]) -> None:
    here, there = hosts
    with neighbour(there):
        assert _probe(here) == ("", True, [there.address], [there.address])


@needs_root
@needs_tool("ip")
def test_alone_only_our_own_question_comes_back(hosts: tuple[Host, Host]) -> None:
    assert _probe(hosts[0]) == ("", True, [], [])


@needs_root
@needs_tool("ip")
@needs_tool("nft")
def test_a_switch_that_snoops_lets_answers_through_but_no_multicast(
    hosts: tuple[Host, Host],
) -> None:
    here, there = hosts
    _filter(here, "input", "meta pkttype multicast")
    with neighbour(there):
        error, _, answered, heard = _probe(here)
    assert (error, answered, heard) == ("", [there.address], [])


@needs_root
@needs_tool("ip")
@needs_tool("nft")
@pytest.mark.parametrize(
    ("hook", "expected"),
    [("output", ("Operation not permitted", False, [], [])), ("input", ("", False, [], []))],
)
def test_a_firewall_in_front_of_multicast_dns_is_noticed(
    hosts: tuple[Host, Host], hook: str, expected: tuple[str, bool, list[str], list[str]]
) -> None:
    _filter(hosts[0], hook, "udp dport 5353")
    assert _probe(hosts[0]) == expected
