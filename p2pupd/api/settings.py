"""What can be set about the peer API: where it listens, and every limit on its callers."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from p2pupd.model.setting import NO_PATH, Bytes, Seconds, at_least, setting, within

DEFAULT_PORT: Final = 7830


def _parsed(listen: str) -> tuple[str, int]:
    """(IP address, port). Raises ValueError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError("no port")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    version = ip_address(bare).version
    if (version == 6) is (bare == host):
        raise ValueError("brackets belong around IPv6 addresses, and only there")
    return bare, int(port)


def _endpoint(value: str) -> str | None:
    try:
        if value:
            _parsed(value)
    except ValueError:
        return 'is no IP address with a port, such as "127.0.0.1:9830" or "[::1]:9830"'
    return None


def _addresses(value: tuple[str, ...]) -> str | None:
    if not value:
        return "names no address to listen on"
    for text in value:
        try:
            ip_address(text)
        except ValueError as error:
            return f"is no list of IP addresses: {error}"
    return None


@dataclass(frozen=True, slots=True)
class PeerApiSettings:
    """The HTTP server that neighbours talk to. "Address" means the IP address of a caller."""

    listen: tuple[str, ...] = setting(
        ("0.0.0.0",),  # noqa: S104
        "IP addresses to listen on; 0.0.0.0 is every IPv4 address.",
        check=_addresses,
    )
    port: int = setting(DEFAULT_PORT, "TCP port; 0 lets the system choose.", check=within(0, 65535))
    connections: int = setting(128, "Connections open at most.", check=at_least(1))
    connections_per_address: int = setting(
        8, "Connections open at most for one address.", check=at_least(1)
    )
    requests_per_address: int = setting(
        4, "Requests in flight at most for one address; more are answered 429.", check=at_least(1)
    )
    handouts: int = setting(
        64,
        "Devices that are handed pieces at the same time at most; more are answered 503.",
        check=at_least(1),
    )
    request_rate: float = setting(
        20.0, "Requests per second of one address, in the long run.", check=at_least(0.1)
    )
    request_burst: int = setting(60, "Requests of one address at once.", check=at_least(1))
    addresses: int = setting(
        1024, "Addresses whose rates are remembered at most.", check=at_least(16)
    )
    handler_timeout: Seconds = setting(
        Seconds(5), "A request must have arrived and been understood within this time."
    )
    keep_alive: Seconds = setting(
        Seconds(10), "An idle connection, or one without a whole request, is closed after this."
    )
    stall: Seconds = setting(
        Seconds(10), "A reader may be behind `least_rate` by this much, then it is cut off."
    )
    least_rate: Bytes = setting(
        Bytes(16 * 1024), "Bytes per second that a reader must take.", check=at_least(1)
    )
    body: Bytes = setting(
        Bytes(4 * 1024), "Largest body of a request.", check=within(256, 1024 * 1024)
    )


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """`[control]`: who may control this device. On its Unix socket root and the daemon's own user
    may, and who is named here; over TCP (`dashboard.listen`) who has the token."""

    socket: Path = setting(
        NO_PATH,
        "The socket. Unset: /run/p2pupd/control.sock, or `control.sock` in a state directory "
        "that is not the default one",
    )
    mode: int = setting(
        0o660,
        "Permission bits of the socket: who may connect to it (432 is 0o660)",
        check=within(0, 0o777),
    )
    group: str = setting(
        "",
        "Members of this group may control, and the socket is its; a name or a number. Empty: the "
        "daemon's own group",
    )
    users: tuple[str, ...] = setting(
        (), "Further users who may control, by name or number; `mode` must let them connect"
    )
    token_file: Path = setting(
        NO_PATH,
        "A file with one line, the token by which operators control over TCP: 32 to 256 printable "
        "characters, readable for its owner only. Unset: nobody controls over TCP",
    )


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """`[dashboard]`: pages that show the floor. The control socket has them anyway."""

    listen: str = setting(
        "",
        'IP address and port of the dashboard, such as "127.0.0.1:8080" or "0.0.0.0:8080"; with '
        "`control.token_file` the control API is there too. Empty: off",
        check=_endpoint,
    )
    public: bool = setting(
        True, "Whether anybody who reaches it may read it; otherwise only who signs in"
    )
    names: tuple[str, ...] = setting(
        (),
        'Names by which browsers may call it, such as "line7.example.com"; addresses and names '
        "without a dot are always right",
    )

    def endpoint(self) -> tuple[str, int] | None:
        """The address and the port; None while it is off."""
        return _parsed(self.listen) if self.listen else None


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """`[metrics]`: figures for Prometheus. The control socket has them at `/metrics` anyway."""

    listen: str = setting(
        "",
        "IP address and port on which anybody who reaches them may read `/metrics`, and nothing "
        'else, such as "127.0.0.1:9830" or "[::1]:9830"; empty: off',
        check=_endpoint,
    )

    def endpoint(self) -> tuple[str, int] | None:
        """The address and the port; None while it is off."""
        return _parsed(self.listen) if self.listen else None
