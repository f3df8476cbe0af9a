"""Does multicast DNS work here? What one host can find out by asking and listening (`doctor`)."""

import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from zeroconf import DNSOutgoing, DNSQuestion  # type: ignore[attr-defined]

from p2pupd.discovery.interfaces import LocalAddress
from p2pupd.discovery.records import SERVICE

GROUP: Final = "224.0.0.251"
PORT: Final = 5353
ANY_SERVICE: Final = "_services._dns-sd._udp.local."
POINTER, INTERNET = 12, 1
ASK_EVERY: Final = 1.0
"""Seconds between two questions: one packet may be lost."""

IP_MULTICAST_ALL: Final = 49
PACKET_BYTES: Final = 9000
MEMBERSHIP: Final = struct.Struct("@4s4si")  # struct ip_mreqn of ip(7)


@dataclass(frozen=True, slots=True)
class Reach:
    """What came back on one address. Hosts are IP addresses other than that one.

    `error` says why nothing could be asked; empty if it could. `echoed`: the question came back
    through this host's own group membership. `answered` are hosts that heard the question, because
    they answered it directly; `heard` are hosts whose multicast arrived here.
    """

    error: str = ""
    echoed: bool = False
    answered: frozenset[str] = frozenset()
    heard: frozenset[str] = frozenset()


def probe(local: LocalAddress, seconds: float) -> Reach:
    """Ask by multicast on `local` (IPv4) who is there, and listen for `seconds`. Blocks."""
    question = _question()
    echoed, answered, heard = False, set[str](), set[str]()
    try:
        with _sockets(local) as (direct, group):
            for source, packet, receiver in _exchange(direct, group, question, seconds):
                if source == local.address:
                    echoed = echoed or packet == question
                elif receiver is group:
                    heard.add(source)
                else:
                    answered.add(source)
    except OSError as error:
        return Reach(error=error.strerror or str(error))
    return Reach("", echoed, frozenset(answered), frozenset(heard))


def _question() -> bytes:
    packet = DNSOutgoing(0)
    for name in (SERVICE, ANY_SERVICE):
        packet.add_question(DNSQuestion(name, POINTER, INTERNET))
    return packet.packets()[0]


@contextmanager
def _sockets(local: LocalAddress) -> Iterator[tuple[socket.socket, socket.socket]]:
    """One that is answered directly, and one that is in the group on this interface alone."""
    with ExitStack() as stack:
        direct, group = (
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in "dg"
        )
        direct.bind((local.address, 0))
        group.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        group.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        group.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        group.bind((GROUP, PORT))
        here = socket.inet_aton(local.address)
        membership = MEMBERSHIP.pack(socket.inet_aton(GROUP), here, local.index)
        group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        for each in (direct, group):
            each.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
            each.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        yield direct, group


def _exchange(
    direct: socket.socket, group: socket.socket, question: bytes, seconds: float
) -> Iterator[tuple[str, bytes, socket.socket]]:
    """Every packet that comes, with its source and the socket that got it."""
    end = time.monotonic() + seconds
    ask = 0.0
    while (now := time.monotonic()) < end:
        if now >= ask:
            ask = now + ASK_EVERY
            for each in (direct, group):
                each.sendto(question, (GROUP, PORT))
        ready, _, _ = select.select([direct, group], [], [], max(0.0, min(end, ask) - now))
        for each in ready:
            packet, (source, _) = each.recvfrom(PACKET_BYTES)
            yield source, packet, each
