"""What `doctor` looks at on the network: ports, the uplink, whether multicast crosses it."""

import asyncio
import errno
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from p2pupd.cli.finding import Finding, fail, ok, warn
from p2pupd.config.schema import Settings
from p2pupd.discovery.interfaces import InterfaceWatcher, LocalAddress
from p2pupd.discovery.reach import GROUP, PORT, Reach, probe
from p2pupd.discovery.settings import DiscoverySettings
from p2pupd.errors import HostError, SourceGone, UpdateError
from p2pupd.feeds.tuf_http import ask_once, without_credentials
from p2pupd.model.setting import Seconds

HASTE: Final = Seconds(10.0)
"""Seconds that the uplink has to answer."""
FIREWALL: Final = f"allow UDP {PORT} to and from {GROUP} in this host's firewall"


def ports(settings: Settings, *, held_by_us: bool) -> Iterator[Finding]:
    """Whether the peer API and the swarm can listen. `held_by_us`: our daemon runs."""
    yield from _port("peer.port", settings.peer.listen, settings.peer.port, held_by_us)
    yield from _port("swarm.port", settings.swarm.addresses, settings.swarm.port, held_by_us)


def _port(check: str, addresses: Sequence[str], port: int, held_by_us: bool) -> Iterator[Finding]:
    if port == 0:
        yield ok(check, "0: the system chooses a free one")
        return
    for address in addresses:
        error = _binding(address, port)
        where = f"{address} port {port}"
        if not error:
            yield ok(check, f"{where} is free")
        elif error == errno.EADDRINUSE and held_by_us:
            yield ok(check, f"{where} is in use, and our daemon runs")
        elif error == errno.EADDRINUSE:
            advice = f"ss -tlnp 'sport = {port}' names it; or set another {check}"
            yield fail(check, f"{where} is in use by another program", advice)
        else:
            reason = errno.errorcode.get(error, str(error))
            yield fail(check, f"cannot listen on {where}: {reason}", "is that address this host's?")


def _binding(address: str, port: int) -> int:
    """The error number of trying to listen there; 0 when it would work."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((address, port))
            tried.listen(1)
        except OSError as error:
            return error.errno or errno.EIO
    return 0


def uplink(settings: Settings) -> Iterator[Finding]:
    """Whether the repository of `uplink.url` answers, where one is set."""
    if not settings.uplink.url:
        return
    check = "uplink"
    hasty = replace(settings.uplink, metadata_timeout=HASTE, connect_timeout=HASTE)
    shown = without_credentials(hasty.url)
    try:
        version = asyncio.run(ask_once(hasty, settings.trust, settings.state_dir))
    except SourceGone as error:
        yield ok(check, f"{shown} was not asked: {error}")
    except UpdateError as error:
        yield fail(check, str(error), "look at the line, uplink.url, uplink.proxy, uplink.ca_file")
    else:
        yield ok(check, f"{shown} answers, its timestamp has version {version}")


def multicast(
    settings: DiscoverySettings, peers: Sequence[dict[str, Any]], seconds: float
) -> Iterator[Finding]:
    """A finding for each interface in use. `peers` is what the daemon says about neighbours."""
    if not settings.mdns:
        yield ok("multicast", "discovery.mdns is off")
        return
    try:
        used = [each for each in InterfaceWatcher(settings).used if ":" not in each.address]
    except HostError as error:
        yield fail("multicast", error.message, "this needs Linux with netlink sockets")
        return
    if not used:
        yield fail(
            "multicast",
            "no interface with an IPv4 address can multicast",
            "connect one (ip address), or name the neighbours in discovery.peers",
        )
        return
    with ThreadPoolExecutor(len(used)) as threads:
        for local, reach in zip(used, threads.map(lambda x: probe(x, seconds), used), strict=True):
            yield judge(local, reach, peers)


def judge(local: LocalAddress, reach: Reach, peers: Sequence[dict[str, Any]]) -> Finding:
    """What a probe means, as far as one host can tell."""
    check = f"multicast {local.interface}"
    if reach.error:
        return fail(check, f"{local.address}: cannot ask: {reach.error}", _sending(local, reach))
    if not reach.echoed:
        return fail(check, f"{local.address}: not even our own question comes back", FIREWALL)
    if reach.heard:
        return ok(check, f"{local.address}: {len(reach.heard)} other host(s) heard")
    if reach.answered:
        return warn(
            check,
            f"{local.address}: {len(reach.answered)} host(s) hear us, but no multicast of theirs "
            "arrives: IGMP snooping without a querier suspected",
            f"let the switch flood {GROUP}, or enable its querier; discovery.peers works meanwhile",
        )
    near = [each for each in peers if each["source"] != "mdns"]
    if near:
        return warn(
            check,
            f"{local.address}: nobody is heard, though {len(near)} neighbour(s) are known "
            "otherwise: multicast is filtered, client isolation or IGMP snooping suspected",
            "look for client isolation in the access point or the switch; keep discovery.peers",
        )
    return warn(
        check,
        f"{local.address}: nobody is heard: no other host speaks multicast DNS here, or client "
        "isolation or IGMP snooping keeps them apart",
        "run `p2pupd doctor` on two devices; if neither hears the other, set discovery.peers",
    )


def _sending(local: LocalAddress, reach: Reach) -> str:
    if "unreachable" in reach.error or "route" in reach.error:
        return f"no multicast route: ip route add 224.0.0.0/4 dev {local.interface}"
    return FIREWALL
