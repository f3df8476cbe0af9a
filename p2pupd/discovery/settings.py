"""What can be set about finding neighbours."""

from dataclasses import dataclass
from ipaddress import ip_network

from p2pupd.model.setting import Seconds, at_least, setting, within


def _networks(value: tuple[str, ...]) -> str | None:
    for text in value:
        try:
            ip_network(text)
        except ValueError as error:
            return f"is no list of networks such as 192.168.7.0/24: {error}"
    return None


def split_peer(text: str) -> tuple[str, int]:
    """`host:port` or `[IPv6]:port` as (host, port). Raises ValueError saying what is wrong."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdecimal():
        raise ValueError(f"{text!r} is not host:port")
    if not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} has no port between 1 and 65535")
    return host, int(port)


def _peers(value: tuple[str, ...]) -> str | None:
    for text in value:
        try:
            split_peer(text)
        except ValueError as error:
            return f"is no list of neighbours: {error}"
    return None


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """Neighbours: how they are found, which are believed to be there, how many are kept."""

    mdns: bool = setting(True, "Announce this device and find others by multicast DNS (IPv4).")
    interfaces: tuple[str, ...] = setting(
        (),
        "Names (eth0) or IPv4 addresses of the interfaces to use. Empty: every interface that is "
        "up and can multicast, except loopback and point-to-point.",
    )
    max_interfaces: int = setting(
        16, "Interface addresses used at most; Linux allows 20 groups.", check=within(1, 20)
    )
    networks: tuple[str, ...] = setting(
        (),
        "Networks in which neighbours may be, such as 192.168.7.0/24. Empty: the subnets of the "
        "interfaces in use. Peers named in `peers` may be anywhere.",
        check=_networks,
    )
    peers: tuple[str, ...] = setting(
        (),
        "Neighbours as host:port, for networks in which multicast is filtered. Named on one "
        "side is enough.",
        check=_peers,
    )
    neighbours: int = setting(
        64, "Neighbours kept at most; which ones is stable.", check=within(1, 200)
    )
    candidates: int = setting(
        256, "Devices remembered at most, kept or not yet asked.", check=within(1, 4096)
    )
    candidates_per_host: int = setting(
        16, "Devices remembered at most for one address.", check=at_least(1)
    )
    probe_rate: float = setting(
        25.0, "Hellos sent per second at most, in the long run.", check=at_least(0.1)
    )
    probe_burst: int = setting(64, "Hellos sent at once at most.", check=at_least(1))
    probes_at_once: int = setting(32, "Hellos waiting for an answer at most.", check=at_least(1))
    check_interval: Seconds = setting(
        Seconds(30), "How often a kept neighbour is asked whether it lives.", check=at_least(1)
    )
    lost_after: int = setting(
        3, "A neighbour that misses so many hellos in a row is lost.", check=at_least(1)
    )
    forget_after: int = setting(
        1000,
        "A device that misses so many hellos in a row is forgotten: it is asked at least every "
        "minute, so that a floor that was cut in two finds together.",
        check=at_least(1),
    )
    return_delay: Seconds = setting(
        Seconds(2), "A device that said goodbye is asked once more after this, lest it was forged."
    )
    announce_interval: Seconds = setting(
        Seconds(10), "After a change was announced, the next one of its kind waits so long."
    )
    query_interval: Seconds = setting(
        Seconds(1200), "Longest time between two multicast questions.", check=within(60, 2200)
    )
    record_rate: float = setting(
        50.0, "Announcements read per second at most, in the long run.", check=at_least(1)
    )
    record_burst: int = setting(512, "Announcements read at once at most.", check=at_least(1))
    peer_interval: Seconds = setting(
        Seconds(60), "How often a device of `peers` is asked for its hello.", check=at_least(1)
    )
    settle: Seconds = setting(
        Seconds(0.2), "Changes of interfaces within this time are handled together."
    )
