"""Which local addresses are used, and when that changes: Linux rtnetlink (rtnetlink(7)).

An interface that vanishes and returns has the same name and address but another index, and every
multicast membership on it is gone. So the index is part of what is compared.
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from p2pupd.discovery.settings import DiscoverySettings
from p2pupd.errors import HostError

log = logging.getLogger(__name__)

Network = IPv4Network | IPv6Network

LINK_AND_ADDRESS_GROUPS: Final = 0x1 | 0x10 | 0x100  # RTMGRP_LINK | IPV4_IFADDR | IPV6_IFADDR
GET_LINK, NEW_LINK, GET_ADDRESS, NEW_ADDRESS = 18, 16, 22, 20
REQUEST_DUMP: Final = 0x1 | 0x300  # NLM_F_REQUEST | NLM_F_DUMP
ERROR, DONE = 2, 3
IFLA_IFNAME, IFA_ADDRESS, IFA_LOCAL = 3, 1, 2
UP, LOOPBACK, POINT_TO_POINT, RUNNING, MULTICAST = 0x1, 0x8, 0x10, 0x40, 0x1000
KEPT_FLAGS: Final = UP | LOOPBACK | POINT_TO_POINT | RUNNING | MULTICAST
RECEIVE_BYTES: Final = 256 * 1024
DUMP_TIMEOUT: Final = 2.0

HEADER: Final = struct.Struct("=IHHII")
LINK: Final = struct.Struct("=BxHiII")
ADDRESS: Final = struct.Struct("=BBBBI")
ATTRIBUTE: Final = struct.Struct("=HH")


@dataclass(frozen=True, slots=True, order=True)
class LocalAddress:
    """An address of this machine on an interface that is up and has a carrier."""

    interface: str
    index: int
    address: str
    prefix: int
    flags: int

    @property
    def network(self) -> Network:
        return ip_network(f"{self.address}/{self.prefix}", strict=False)


def local_addresses() -> tuple[LocalAddress, ...]:
    """Every IPv4 and IPv6 address on an interface that runs, sorted. Raises HostError."""
    try:
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        ) as netlink:
            netlink.settimeout(DUMP_TIMEOUT)
            links = {
                index: (name, flags)
                for index, name, flags in map(_link, _dump(netlink, GET_LINK, NEW_LINK))
                if flags & UP and flags & RUNNING
            }
            found = [_address(message) for message in _dump(netlink, GET_ADDRESS, NEW_ADDRESS)]
    except OSError as error:
        raise HostError(f"cannot list the network interfaces: {error.strerror or error}") from error
    return tuple(
        sorted(
            LocalAddress(links[index][0], index, address, prefix, links[index][1])
            for index, address, prefix in found
            if index in links
        )
    )


def choose(found: Sequence[LocalAddress], wanted: Sequence[str]) -> tuple[LocalAddress, ...]:
    """Those of `found` that the setting `interfaces` means.

    A wanted IPv4 address that no interface has, but that lies in a loopback network, is usable
    too: 127.0.0.5 belongs to this machine without being configured.
    """
    if not wanted:
        return tuple(
            local
            for local in found
            if local.flags & MULTICAST and not local.flags & (LOOPBACK | POINT_TO_POINT)
        )
    chosen = [local for local in found if local.interface in wanted or local.address in wanted]
    for text in sorted(set(wanted) - {local.address for local in chosen}):
        chosen += [
            LocalAddress(local.interface, local.index, text, local.prefix, local.flags)
            for local in found
            if local.flags & LOOPBACK and _inside(text, local.network)
        ][:1]
    return tuple(chosen)


class InterfaceWatcher:
    """The local addresses in use; `run` keeps them right while interfaces come and go."""

    def __init__(self, settings: DiscoverySettings) -> None:
        """Reads them once. Raises HostError."""
        self._settings = settings
        self._changed = asyncio.Event()
        self.used = self._read()

    async def run(self) -> None:
        """Follow the kernel's messages until cancelled. Raises HostError."""
        try:
            netlink = socket.socket(
                socket.AF_NETLINK,
                socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
                socket.NETLINK_ROUTE,
            )
            netlink.bind((0, LINK_AND_ADDRESS_GROUPS))
        except OSError as error:
            raise HostError(f"cannot watch the network interfaces: {error.strerror}") from error
        heard = asyncio.Event()
        loop = asyncio.get_running_loop()
        with netlink:
            loop.add_reader(netlink, _drain, netlink, heard)
            try:
                heard.set()
                while True:
                    await heard.wait()
                    await asyncio.sleep(self._settings.settle)
                    heard.clear()
                    self._refresh()
            finally:
                loop.remove_reader(netlink)

    async def changed(self, known: tuple[LocalAddress, ...]) -> None:
        """Wait until the addresses in use are not `known`."""
        while self.used == known:
            self._changed.clear()
            await self._changed.wait()

    def allows(self, host: str) -> bool:
        """Whether a neighbour may be at this IP address, by the setting `networks`."""
        networks = [ip_network(text) for text in self._settings.networks] or [
            local.network for local in self.used
        ]
        return any(_inside(host, network) for network in networks)

    def _read(self) -> tuple[LocalAddress, ...]:
        found = choose(local_addresses(), self._settings.interfaces)
        ipv4_first = sorted(found, key=lambda local: ":" in local.address)
        return tuple(ipv4_first[: self._settings.max_interfaces])

    def _refresh(self) -> None:
        used = self._read()
        if used != self.used:
            log.info(
                "interfaces.changed used=%s",
                ",".join(f"{local.interface}/{local.address}" for local in used) or "none",
            )
            self.used = used
            self._changed.set()


def _drain(netlink: socket.socket, heard: asyncio.Event) -> None:
    """What happened does not matter, that something did does: also when the kernel lost some."""
    heard.set()
    try:
        while netlink.recv(RECEIVE_BYTES):
            pass
    except OSError:
        return


def _inside(host: str, network: Network) -> bool:
    try:
        return ip_address(host) in network
    except ValueError:
        return False


def _dump(netlink: socket.socket, ask: int, answer: int) -> Iterator[bytes]:
    """The bodies of the messages of type `answer` that the kernel gives for a dump of `ask`."""
    netlink.send(HEADER.pack(HEADER.size + LINK.size, ask, REQUEST_DUMP, 1, 0) + bytes(LINK.size))
    while True:
        raw = netlink.recv(RECEIVE_BYTES)
        offset = 0
        while offset + HEADER.size <= len(raw):
            length, kind, _, _, _ = HEADER.unpack_from(raw, offset)
            if kind == DONE:
                return
            if kind == ERROR:
                code = -struct.unpack_from("=i", raw, offset + HEADER.size)[0]
                raise OSError(code, os.strerror(code))
            if kind == answer:
                yield raw[offset + HEADER.size : offset + length]
            offset += (length + 3) & ~3


def _attributes(raw: bytes, offset: int) -> dict[int, bytes]:
    found = {}
    while offset + ATTRIBUTE.size <= len(raw):
        length, kind = ATTRIBUTE.unpack_from(raw, offset)
        found[kind] = raw[offset + ATTRIBUTE.size : offset + length]
        offset += (max(length, ATTRIBUTE.size) + 3) & ~3
    return found


def _link(message: bytes) -> tuple[int, str, int]:
    _, _, index, flags, _ = LINK.unpack_from(message)
    name = _attributes(message, LINK.size).get(IFLA_IFNAME, b"").rstrip(b"\0").decode()
    return index, name, flags & KEPT_FLAGS


def _address(message: bytes) -> tuple[int, str, int]:
    family, prefix, _, _, index = ADDRESS.unpack_from(message)
    attributes = _attributes(message, ADDRESS.size)
    raw = attributes.get(IFA_LOCAL) or attributes[IFA_ADDRESS]
    return index, socket.inet_ntop(family, raw), prefix
