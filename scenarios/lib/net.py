"""Hosts on one machine: each a network namespace, all on a bridge in a namespace of its own.

The bridge is apart so that nobody's firewall rules touch it. Nothing has a route anywhere else.
"""

import itertools
import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ADDRESSES: Final = 16 * 1024

_FLOORS = itertools.count(1)


@dataclass(frozen=True)
class Host:
    """One namespace; `prefix` before a command line runs it there."""

    namespace: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.namespace)


class Net:
    """A switch and the hosts on it. `rate` shapes every link both ways, in Mbit/s; None: full."""

    def __init__(self, name: str, rate: int | None = None) -> None:
        self._name = name
        self._rate = rate
        self._bridge = f"{name}-br"
        self._own_rates: dict[str, int] = {}
        self.hosts: list[Host] = []

    @property
    def switch(self) -> tuple[str, ...]:
        """Before a command line, runs it where all of the floor's traffic passes."""
        return ("ip", "netns", "exec", self._bridge)

    def up(self) -> None:
        _make_room_for_addresses()
        _ip("netns", "add", self._bridge)
        _ip(
            "-n", self._bridge, "link", "add", "br0", "type", "bridge",
            "mcast_snooping", "0", "stp_state", "0", "forward_delay", "0",
        )  # fmt: skip
        _ip("-n", self._bridge, "link", "set", "br0", "up")

    def host(self, rate: int | None = None) -> Host:
        """One more host, plugged in; `rate` is that of its own link, if not the others'."""
        number = len(self.hosts) + 1
        host = Host(f"{self._name}-{number}", f"10.98.0.{number}")
        self.hosts.append(host)
        if rate is not None:
            self._own_rates[host.address] = rate
        _ip("netns", "add", host.namespace)
        _ip("-n", host.namespace, "link", "set", "lo", "up")
        self.plug(host)
        return host

    def plug(self, host: Host) -> None:
        """Connect a host that has no cable."""
        port = self._port(host)
        _ip(
            "-n", self._bridge, "link", "add", port, "type", "veth",
            "peer", "name", "eth0", "netns", host.namespace,
        )  # fmt: skip
        _ip("-n", self._bridge, "link", "set", port, "master", "br0", "up")
        _ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "brd", "+", "dev", "eth0")
        _ip("-n", host.namespace, "link", "set", "eth0", "up")
        _ip("-n", host.namespace, "route", "add", "224.0.0.0/4", "dev", "eth0")
        rate = self._own_rates.get(host.address, self._rate)
        if rate is not None:
            _shape(host.namespace, "eth0", rate)
            _shape(self._bridge, port, rate)

    def unplug(self, host: Host) -> None:
        """Pull the cable: the interface is gone on both ends."""
        _ip("-n", self._bridge, "link", "del", self._port(host))

    def split(self, hosts: Iterable[Host]) -> None:
        """Cut these hosts off from the others: the cable between two switches is pulled, and
        nobody's own link tells."""
        other = ("-n", self._bridge, "link")
        _ip(*other, "add", "br1", "type", "bridge", "mcast_snooping", "0", "stp_state", "0",
            "forward_delay", "0")  # fmt: skip
        _ip(*other, "set", "br1", "up")
        for host in hosts:
            _ip(*other, "set", self._port(host), "master", "br1")

    def heal(self) -> None:
        """Plug that cable in again."""
        for host in self.hosts:
            _ip("-n", self._bridge, "link", "set", self._port(host), "master", "br0")
        _ip("-n", self._bridge, "link", "del", "br1")

    def carried(self) -> dict[str, tuple[int, int]]:
        """By address: the bytes on the wire that each host has (sent, received) so far."""
        ports = json.loads(_ip("-n", self._bridge, "-j", "-s", "link", "show", "type", "veth"))
        counts = {each["ifname"]: each["stats64"] for each in ports}
        return {
            host.address: (counts[port]["rx"]["bytes"], counts[port]["tx"]["bytes"])
            for host in self.hosts
            if (port := self._port(host)) in counts
        }

    def dropped(self) -> int:
        """Packets that did not fit into the queues before the shaped links so far."""
        names = [self._bridge, *(host.namespace for host in self.hosts)]
        queues = [each for name in names for each in json.loads(_tc(name, "-s", "-j", "qdisc"))]
        return sum(int(each["drops"]) for each in queues if each["kind"] == "tbf")

    def down(self) -> None:
        for name in [self._bridge, *(host.namespace for host in self.hosts)]:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    @staticmethod
    def _port(host: Host) -> str:
        return f"p{host.address.rpartition('.')[2]}"


@contextmanager
def network(rate: int | None = None) -> Iterator[Net]:
    """A network that is gone afterwards."""
    net = Net(f"pf{os.getpid()}-{next(_FLOORS)}", rate)
    try:
        net.up()
        yield net
    finally:
        net.down()


def _make_room_for_addresses() -> None:
    """All namespaces of a machine share one table of resolved addresses, of 1024 by default: 33
    hosts that know each other do not fit, and would not reach each other."""
    limit = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
    if int(limit.read_text()) < ADDRESSES:
        limit.write_text(str(ADDRESSES))


def _ip(*arguments: str) -> str:
    return _done("ip", *arguments)


def _tc(namespace: str, *arguments: str) -> str:
    return _done("tc", "-n", namespace, *arguments)


def _shape(namespace: str, device: str, rate: int) -> None:
    shaper = f"root tbf rate {rate}mbit burst 64kb limit 448kb".split()
    _tc(namespace, "qdisc", "add", "dev", device, *shaper)


def _done(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
