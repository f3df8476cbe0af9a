"""What an operator may change about the swarm, every limit with its unit."""

from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address
from typing import Final, Self

from p2pupd.model.setting import Bytes, Seconds, at_least, setting, within

FEW_CONNECTIONS: Final = 8
FEW_CONNECTIONS_TOTAL: Final = 12
"""With `memory = "small"`. A connection that delivers at full speed was measured to cost 0.3 MiB;
shorter buffers, queues and peer lists to change nothing, because `outstanding` bounds them."""


class Backend(StrEnum):
    """What moves artifacts. AUTO is libtorrent where it is installed."""

    AUTO = "auto"
    LIBTORRENT = "libtorrent"
    HTTP = "http"


class Memory(StrEnum):
    """How much memory BitTorrent may take."""

    NORMAL = "normal"
    SMALL = "small"


@dataclass(frozen=True, slots=True)
class SwarmSettings:
    backend: Backend = setting(
        Backend.AUTO,
        "What moves artifacts: `libtorrent` (BitTorrent) or `http`, a plain client of the"
        " neighbours' peer API that takes less memory; `auto` is libtorrent where it is installed.",
    )
    memory: Memory = setting(
        Memory.NORMAL,
        "`small`: BitTorrent with at most 8 connections per artifact and 12 in all, for devices"
        " with 64 MiB.",
    )
    interfaces: tuple[str, ...] = setting(
        ("0.0.0.0",),  # noqa: S104  the default is every local network: devices have one floor
        "Addresses or network devices to exchange blocks on; `0.0.0.0` is every IPv4 interface.",
    )
    port: int = setting(
        0, "TCP port for blocks, the same on every interface; 0 is any.", check=within(0, 65535)
    )
    connections: int = setting(80, "Connections per artifact.", check=within(2, 500))
    connections_total: int = setting(
        300, "Connections of all artifacts together.", check=within(2, 4000)
    )
    degree: int = setting(
        8,
        "On a large floor, so many neighbours are called for an artifact, beside seeds and devices"
        " with an uplink; others may call in.",
        check=within(2, 200),
    )
    handout: int = setting(
        8,
        "From so many devices on, a seed chooses which piece it sends to whom; with fewer, each"
        " device asks for pieces, which begins sooner. Of a pack it always chooses, unless there"
        " is one device only.",
        check=within(1, 10_000),
    )
    outstanding: Bytes = setting(
        Bytes(256 * 1024),
        "What all devices together may have asked of one before it has sent it: the longer this"
        " queue, the more devices ask a seed for the same piece.",
        check=at_least(32 * 1024),
    )
    resume_interval: Seconds = setting(
        Seconds(5), "Time between two writes of resume data.", check=at_least(0.1)
    )
    stall_after: Seconds = setting(
        Seconds(20),
        "A transfer without a new piece for so long, with neighbours there, starts over with what"
        " it has, then asks neighbours by HTTP as well. Doubles with each attempt.",
        check=at_least(0.5),
    )
    unwanted_blocks: int = setting(
        256,
        "Blocks nobody asked for that one address may send in a minute before it is blocked.",
        check=at_least(16),
    )
    block_for: Seconds = setting(
        Seconds(3600), "How long a blocked address stays blocked.", check=at_least(1)
    )
    grace: Seconds = setting(
        Seconds(5), "Time for writing resume data when the daemon ends.", check=at_least(0.1)
    )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those of `interfaces` that are IP addresses, and not names of network devices."""
        return tuple(filter(is_address, self.interfaces))

    def fitted(self) -> Self:
        """With what `memory` says applied."""
        if self.memory is Memory.NORMAL:
            return self
        return replace(
            self,
            connections=min(self.connections, FEW_CONNECTIONS),
            connections_total=min(self.connections_total, FEW_CONNECTIONS_TOTAL),
        )


def is_address(text: str) -> bool:
    """Whether it is an IP address, and not a name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
