"""What a floor stands on: hosts on one network, and what can be done to them from outside.

Two kinds: network namespaces (lib/net.py), and containers of a Docker engine (lib/containers.py).
"""

import json
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from p2pupd.demo.device import Device

Json = dict[str, Any]

ADDRESSES = 16 * 1024
FILTER = """\
table inet faults
delete table inet faults
table inet faults {{
    chain input {{
        type filter hook input priority 0
        {}
    }}
}}
"""


class Host(ABC):
    """A place on the network where one device, or something else, runs."""

    address: str

    @property
    @abstractmethod
    def prefix(self) -> tuple[str, ...]:
        """Before a command line of this machine: it runs in that host's network. Needs root."""


class Disk(ABC):
    """A small file system that a device keeps its artifacts on, beside what else is there."""

    path: Path

    @abstractmethod
    def fill(self, size: int) -> None:
        """Somebody else's logs take so many bytes of it. The device is on."""

    @abstractmethod
    def clear(self) -> None:
        """They are gone."""


class Ground(ABC):
    """A network. What is asked of the cable or the packets holds for a host that restarts too."""

    name: ClassVar[str]
    settings: ClassVar[dict[str, Json]]
    """What every device's configuration says here about its network."""

    def __init__(self) -> None:
        self._dropped: dict[str, tuple[str, ...]] = {}
        self._rates: dict[str, int] = {}

    @abstractmethod
    def host(self) -> Host:
        """One more host, plugged in."""

    @abstractmethod
    def device(
        self,
        host: Host,
        name: str,
        directory: Path,
        anchor: Path,
        *,
        environment: dict[str, str],
        sees: tuple[Path, ...],
        **kwargs: Any,
    ) -> Device:
        """A device there, off. Beside its directory and the anchor it needs to read what it `sees`.

        `environment` is laid over its daemon's; `kwargs` are a Device's.
        """

    @abstractmethod
    def disk(self, host: Host, path: Path, size: int) -> Disk:
        """A disk of so many bytes for the device that will be there; gone with the network."""

    @abstractmethod
    def wake(self, host: Host) -> None:
        """Have its network exist although no device runs there, for a server."""

    @abstractmethod
    def unplug(self, host: Host) -> None:
        """Pull the cable: the interface is gone."""

    @abstractmethod
    def plug(self, host: Host) -> None:
        """Put it in again: another interface, with the same address."""

    @abstractmethod
    def pause(self, device: Device) -> None:
        """Its daemon gets no processor time any more."""

    @abstractmethod
    def resume(self, device: Device) -> None:
        """It goes on, and does not know that time has passed."""

    def drop(self, host: Host, *rules: str) -> None:
        """Drop the arriving packets that these nftables matches fit, and no others from now on."""
        self._dropped[host.address] = rules
        self.arrange(host)

    def limit(self, host: Host, rate: int) -> None:
        """Shape what the host sends, in Mbit/s."""
        self._rates[host.address] = rate
        self.arrange(host)

    def arranges(self, host: Host) -> bool:
        """Whether anything was asked for."""
        return host.address in self._dropped or host.address in self._rates

    def arrange(self, host: Host) -> None:
        """Do so in the host's network as it is now."""
        if not self.arranges(host):
            return
        rules = "\n".join(f"{match} drop" for match in self._dropped.get(host.address, ()))
        done(*host.prefix, "nft", "-f", "-", given=FILTER.format(rules))
        if (rate := self._rates.get(host.address)) is not None:
            shown = done(*host.prefix, "ip", "-json", "address", "show", "to", host.address)
            (interface,) = json.loads(shown)
            shape = f"root tbf rate {rate}mbit burst 64kb limit 448kb"
            done(*host.prefix, "tc", "qdisc", "replace", "dev", interface["ifname"], *shape.split())


def done(*command: str, given: str = "") -> str:
    """Run a program of this machine to its end; its output. Fails with what it said."""
    ended = subprocess.run(command, check=False, capture_output=True, text=True, input=given)
    assert ended.returncode == 0, f"{' '.join(command)}: {ended.stderr}"
    return ended.stdout


def make_room_for_addresses() -> None:
    """All namespaces of a machine share one table of resolved addresses, of 1024 by default: 33
    hosts that know each other do not fit, and would not reach each other."""
    limit = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
    if int(limit.read_text()) < ADDRESSES:
        limit.write_text(str(ADDRESSES))
