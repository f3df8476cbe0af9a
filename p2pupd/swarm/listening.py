"""Opening the libtorrent session: TCP only, nothing announced, small in memory, quiet when idle."""

import ipaddress
import os
import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import libtorrent as lt

from p2pupd.errors import SwarmError
from p2pupd.swarm.alerts import MASK, ListenFailed, pop
from p2pupd.swarm.settings import SwarmSettings, is_address

ATTEMPTS: Final = 3
BLOCKED: Final = 1
DEAD_AFTER: Final = 20
"""Seconds of silence after which a connection is given up. A neighbour whose cable was pulled is
refused as its own double until then, because its old connection dies unnoticed."""

DISK: Final = "posix_disk_io_constructor"
"""Writes go to the system at once and by the network thread: nothing verified is lost by a kill,
no pool of threads or buffers. The default backend of libtorrent 2.1 holds megabytes back."""


FIXED: Final["lt.settings_pack"] = {
    "alert_mask": MASK,
    "alert_queue_size": 10_000,
    "listen_system_port_fallback": False,
    "max_retry_port_bind": 0,
    "listen_queue_size": 64,
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "mixed_mode_algorithm": 0,
    "allow_multiple_connections_per_ip": False,
    "connection_speed": 500,
    "smooth_connects": False,
    "min_reconnect_time": 1,
    "max_failcount": 100,
    "peer_connect_timeout": 5,
    "handshake_timeout": 5,
    "prioritize_partial_pieces": True,
    "whole_pieces_threshold": 0,
    "send_redundant_have": False,
    "peer_timeout": DEAD_AFTER,
    "piece_timeout": 10,
    "request_timeout": 20,
    "aio_threads": 1,
    "hashing_threads": 1,
    "user_agent": "p2pupd",
}
"""Settings that nobody may change: no way to find peers but ours, and no wait that a LAN needs not.

Above its `whole_pieces_threshold` libtorrent asks a fast peer for runs of pieces, whatever the
request queue: then devices ask for each other's pieces, and all of them for the last ones.
"""


@dataclass(frozen=True, slots=True)
class Listening:
    """An open session; `alarm` is readable when alerts wait, `bell` is libtorrent's end of it."""

    session: lt.session
    port: int
    alarm: int
    bell: int

    def hush(self) -> None:
        """Empty the pipe; call before popping the alerts."""
        try:
            while os.read(self.alarm, 4096):
                pass
        except BlockingIOError:
            return

    def limit_requests(self, queue: int) -> None:
        """Ask for at most `queue` blocks at a time, and allow each peer no more.

        Both are needed: what a peer says that it allows (BEP 10, `reqq`) replaces our own limit.
        It is said once per connection, so a change counts for the connections to come.
        """
        self.session.apply_settings(
            {"max_out_request_queue": queue, "max_allowed_in_request_queue": queue}
        )

    def close(self) -> None:
        """Give the pipe back. The session ends with the last reference to it."""
        self.session.set_alert_fd(-1)
        os.close(self.alarm)
        os.close(self.bell)

    def filter(self, hosts: Collection[str]) -> None:
        """Neither call nor answer these addresses."""
        rules = lt.ip_filter()
        for host in hosts:
            rules.add_rule(host, host, BLOCKED)
        self.session.set_ip_filter(rules)


def listen(settings: SwarmSettings, uploads: bool) -> Listening:
    """Open a session on the configured interfaces. Raises SwarmError when none can be listened on.

    Blocks for milliseconds.
    """
    why = "no interface is configured"
    for _ in range(ATTEMPTS if settings.port == 0 else 1):
        port = settings.port or _free_port(settings.interfaces)
        parameters = lt.session_params()
        parameters.settings = session_settings(settings, port, uploads)
        parameters.disk_io_constructor = DISK
        session = lt.session(parameters)
        if session.is_listening():
            if not uploads:
                _keep_choked(session)
            alarm, bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            session.set_alert_fd(bell)
            return Listening(session, port, alarm, bell)
        failed = [alert.message for alert in pop(session) if isinstance(alert, ListenFailed)]
        why = failed[-1] if failed else why
    raise SwarmError(
        f"cannot listen for blocks on {', '.join(settings.interfaces)}: {why};"
        " check swarm.interfaces and swarm.port"
    )


def session_settings(settings: SwarmSettings, port: int, uploads: bool) -> "lt.settings_pack":
    """libtorrent's settings, as far as they are not its defaults."""
    chosen: lt.settings_pack = {
        **FIXED,
        "listen_interfaces": ",".join(f"{_bracketed(i)}:{port}" for i in settings.interfaces),
        "outgoing_interfaces": _sole_address(settings.interfaces),
        "connections_limit": settings.connections_total,
        "torrent_connect_boost": settings.connections,
        "unchoke_slots_limit": -1 if uploads else 0,
    }
    if not uploads:
        chosen["allowed_fast_set_size"] = 0
        chosen["num_optimistic_unchoke_slots"] = 1
    return chosen


def _free_port(interfaces: Collection[str]) -> int:
    """A port that is free now, because with 0 libtorrent takes another one on each interface."""
    first = next(iter(interfaces), "")
    address = first if is_address(first) else "0.0.0.0"  # noqa: S104  asked, never listened on
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise SwarmError(
            f"cannot listen for blocks on {first}: {error.strerror}; check swarm.interfaces"
        ) from error


def _sole_address(interfaces: Collection[str]) -> str:
    """Where only one address is listened on, calls also come from it: neighbours know it by that.

    With several, libtorrent would take turns among them whatever the destination.
    """
    only = next(iter(interfaces)) if len(interfaces) == 1 else ""
    return only if is_address(only) and not ipaddress.ip_address(only).is_unspecified else ""


def _keep_choked(session: lt.session) -> None:
    """Neighbours on the LAN are unchoked whatever the limit, unless their class is told not to."""
    for number in (session.global_peer_class_id, session.local_peer_class_id):
        group = session.get_peer_class(number)
        group["ignore_unchoke_slots"] = False
        session.set_peer_class(number, group)


def _bracketed(interface: str) -> str:
    return f"[{interface}]" if ":" in interface else interface
