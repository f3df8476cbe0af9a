"""Hosts on one machine: each a network namespace, all on a bridge in a namespace of its own.

The bridge is apart so that nobody's firewall rules touch it. Nothing has a route anywhere else.
"""

import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pupd.demo.device import Device
from scenarios.lib import ground
from scenarios.lib.disk import small_disk
from scenarios.lib.ground import Ground, done, make_room_for_addresses

_FLOORS = itertools.count(1)


@dataclass(frozen=True)
class Host(ground.Host):
    """One namespace."""

    namespace: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """See ground.Host."""
        return ("ip", "netns", "exec", self.namespace)


class Disk(ground.Disk):
    """Mounted on this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._logs = path / "logs"

    def fill(self, size: int) -> None:
        """See Disk."""
        self._logs.write_bytes(bytes(size))

    def clear(self) -> None:
        """See Disk."""
        self._logs.unlink()


@contextmanager
def _disk(path: Path, size: int) -> Iterator[Disk]:
    with small_disk(path, size):
        yield Disk(path)


class Net(Ground):
    """A switch and the hosts on it. `rate` shapes every link both ways, in Mbit/s; None: full."""

    name = "namespaces"
    settings = {  # noqa: RUF012
        "discovery": {"interfaces": ["eth0"], "networks": []},
        "peer": {"listen": ["0.0.0.0"]},
        "swarm": {"interfaces": ["0.0.0.0"]},
    }

    def __init__(self, name: str, rate: int | None = None) -> None:
        super().__init__()
        self._name = name
        self._rate = rate
        self._bridge = f"{name}-br"
        self._own_rates: dict[str, int] = {}
        self._disks = ExitStack()
        self.hosts: list[Host] = []

    @property
    def switch(self) -> tuple[str, ...]:
        """Before a command line, runs it where all of the floor's traffic passes."""
        return ("ip", "netns", "exec", self._bridge)

    def up(self) -> None:
        make_room_for_addresses()
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

    def device(
        self,
        host: ground.Host,
        name: str,
        directory: Path,
        anchor: Path,
        *,
        environment: dict[str, str],
        sees: tuple[Path, ...],
        **kwargs: Any,
    ) -> Device:
        """See Ground: everything is in sight here."""
        before = ("env", *(f"{key}={value}" for key, value in environment.items()))
        prefix = (*host.prefix, *(before if environment else ()))
        return Device(name, directory, host.address, anchor, prefix=prefix, **kwargs)

    def disk(self, host: ground.Host, path: Path, size: int) -> ground.Disk:
        """See Ground: a mount of this machine."""
        return self._disks.enter_context(_disk(path, size))

    def wake(self, host: ground.Host) -> None:
        """Nothing to do: a namespace is there with nobody in it."""

    def pause(self, device: Device) -> None:
        """Stop every process of the daemon."""
        assert device.process is not None
        os.killpg(device.process.pid, signal.SIGSTOP)

    def resume(self, device: Device) -> None:
        """Let them go on."""
        assert device.process is not None
        os.killpg(device.process.pid, signal.SIGCONT)

    def plug(self, host: ground.Host) -> None:
        """Connect a host that has no cable."""
        assert isinstance(host, Host)
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
        self.arrange(host)

    def unplug(self, host: ground.Host) -> None:
        """Pull the cable: the interface is gone on both ends."""
        _ip("-n", self._bridge, "link", "del", self._port(host))

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
        """Remove all of it."""
        self._disks.close()
        for name in [self._bridge, *(host.namespace for host in self.hosts)]:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    @staticmethod
    def _port(host: ground.Host) -> str:
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


def _ip(*arguments: str) -> str:
    return done("ip", *arguments)


def _tc(namespace: str, *arguments: str) -> str:
    return done("tc", "-n", namespace, *arguments)


def _shape(namespace: str, device: str, rate: int) -> None:
    shaper = f"root tbf rate {rate}mbit burst 64kb limit 448kb".split()
    _tc(namespace, "qdisc", "add", "dev", device, *shaper)
