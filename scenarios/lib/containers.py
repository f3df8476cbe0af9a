"""Hosts that are containers on one network of a Docker engine, with no way out of it.

Which engine that is says DOCKER_HOST, as to every Docker client; `docker/engine COMMAND` starts one
for the length of a command. Needs root: what happens to packets is arranged from outside.
"""

import asyncio
import itertools
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pupd.demo.device import Device
from scenarios.lib import ground
from scenarios.lib.ground import Ground, done, make_room_for_addresses

IMAGE = "p2pupd:scenarios"
USER = 7830
"""Of docker/Dockerfile."""
POLL = 0.02
TELL_AGAIN = 0.5
"""Seconds after which a container that was only just starting is told once more."""

_FLOORS = itertools.count(1)


@dataclass(frozen=True)
class Host(ground.Host):
    """One container, which has this name once it is made, and its network while it runs."""

    container: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """See ground.Host. Fails while the container does not run."""
        process = docker("inspect", "--format", "{{.State.Pid}}", self.container).strip()
        assert process != "0", f"{self.container} does not run"
        return ("nsenter", f"--net=/proc/{process}/ns/net")


class Disk(ground.Disk):
    """A volume in memory. A container that sleeps holds it while the device's is off."""

    def __init__(self, holder: str, path: Path) -> None:
        self.path = path
        self.holder = holder
        self.mount = ("--volume", f"{holder}:{path}")

    def fill(self, size: int) -> None:
        """See Disk."""
        self._do(f"head -c {size} /dev/zero > {self.path}/logs")

    def clear(self) -> None:
        """See Disk."""
        self._do(f"rm {self.path}/logs")

    def _do(self, command: str) -> None:
        docker("exec", self.holder, "sh", "-c", command)


class Contained(Device):
    """A device in a container: its daemon is the first process, and its power is the container's.

    The state directory is this machine's, mounted at the same path: so it is a disk that outlives
    the container, and the control socket can be asked from outside.
    """

    container: str
    place: Host
    network: "Containers"

    def prepare(self) -> None:
        """See Device. All of it belongs to the container's user."""
        super().prepare()
        for each in (self.directory, *self.directory.iterdir()):
            os.chown(each, USER, USER)

    async def start(self, *, power_on_first: bool = True) -> None:
        """See Device. Always with power-on: the container's first command is the bootloader's."""
        self.boots += 1
        log = await asyncio.to_thread(self.log_file.open, "ab")
        with log:
            self.process = await asyncio.create_subprocess_exec(
                *("docker", "start", "--attach", self.container),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if self.network.arranges(self.place):
            while not await asyncio.to_thread(self.network.runs, self.place):
                await asyncio.sleep(POLL)
            await asyncio.to_thread(self.network.arrange, self.place)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """See Device."""
        if self.process is None:
            return None
        while self.process.returncode is None:
            sent = await asyncio.to_thread(_signalled, self.container, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if sent else TELL_AGAIN):
                    await self.process.wait()
        return self.process.returncode


class Containers(Ground):
    """A network without masquerading; its containers come and go with it.

    Not one of Docker's `internal` kind: where the kernel filters bridged packets, as some do by
    default, Docker's rules for those drop multicast.
    """

    name = "containers"
    settings = {  # noqa: RUF012
        "device": {"reboot_command": ["sh", "-c", "kill {pid}"]},
        "discovery": {"interfaces": [], "networks": []},
        "peer": {"listen": ["0.0.0.0"]},
        "swarm": {"interfaces": ["0.0.0.0"]},
    }

    def __init__(self, name: str, image: str = IMAGE, options: tuple[str, ...] = ()) -> None:
        """`options` are those of `docker create` for every container."""
        super().__init__()
        self._network = name
        self._image = image
        self._options = options
        self._subnet = f"10.{80 + os.getpid() % 100}.{next(_FLOORS) % 256}"
        self._hosts: list[Host] = []
        self._disks: dict[Host, Disk] = {}

    def up(self) -> None:
        """Make the network, once nothing is left of those whose makers were killed."""
        make_room_for_addresses()
        _sweep()
        apart = "com.docker.network.bridge.enable_ip_masquerade=false"
        subnet = f"{self._subnet}.0/24"
        docker("network", "create", "--opt", apart, "--subnet", subnet, self._network)

    def down(self) -> None:
        """Remove everything, whatever state it is in."""
        disks = [each.holder for each in self._disks.values()]
        names = [*(each.container for each in self._hosts), *disks]
        for command in (("unpause", *names), ("rm", "--force", "--volumes", *names)):
            if names:
                subprocess.run(("docker", *command), check=False, capture_output=True)
        for what in (("network", "rm", self._network), ("volume", "rm", *disks)):
            subprocess.run(("docker", *what), check=False, capture_output=True)

    def host(self) -> Host:
        """See Ground: its container comes with the device."""
        number = len(self._hosts) + 2
        host = Host(f"{self._network}-{number}", f"{self._subnet}.{number}")
        self._hosts.append(host)
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
        """See Ground."""
        assert isinstance(host, Host)
        device = Contained(name, directory, host.address, anchor, **kwargs)
        device.container, device.place, device.network = host.container, host, self
        directory.mkdir()
        mounts = [f"{directory}:{directory}"]
        mounts += [f"{each}:{each}:ro" for each in (anchor, *sees)]
        options = [each for mount in mounts for each in ("--volume", mount)]
        options += [
            each for key, value in environment.items() for each in ("--env", f"{key}={value}")
        ]
        if host in self._disks:
            options += self._disks[host].mount
        command: tuple[str, ...] = ("p2pupd", "daemon", "--config", str(device.config_file))
        if device.installs:
            command = ("boot", str(directory), str(device.config_file))
        self._create(host, options, command)
        return device

    def disk(self, host: ground.Host, path: Path, size: int) -> ground.Disk:
        """See Ground."""
        assert isinstance(host, Host)
        disk = self._disks[host] = Disk(f"{host.container}-disk", path)
        made = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", f"o=size={size},mode=1777")
        docker("volume", "create", *made, disk.holder)
        docker("run", "--detach", "--init", "--name", disk.holder, *disk.mount,
            "--network", "none", "--no-healthcheck", self._image, "sleep", "infinity")  # fmt: skip
        return disk

    def wake(self, host: ground.Host) -> None:
        """See Ground: a container that sleeps."""
        assert isinstance(host, Host)
        self._create(host, ["--init"], ("sleep", "infinity"))
        docker("start", host.container)

    def unplug(self, host: ground.Host) -> None:
        """See Ground."""
        assert isinstance(host, Host)
        docker("network", "disconnect", self._network, host.container)

    def plug(self, host: ground.Host) -> None:
        """See Ground."""
        assert isinstance(host, Host)
        docker("network", "connect", "--ip", host.address, self._network, host.container)
        self.arrange(host)

    def pause(self, device: Device) -> None:
        """See Ground."""
        assert isinstance(device, Contained)
        docker("pause", device.container)

    def resume(self, device: Device) -> None:
        """See Ground."""
        assert isinstance(device, Contained)
        docker("unpause", device.container)

    def arrange(self, host: ground.Host) -> None:
        """See Ground. A container that does not run gets it when it starts."""
        if self.runs(host):
            super().arrange(host)

    def addresses(self) -> dict[str, str]:
        """By container."""
        return {each.container: each.address for each in self._hosts}

    def processes(self) -> dict[str, int]:
        """The first process of each container that runs."""
        names = [each.container for each in self._hosts]
        lines = docker("inspect", "--format", "{{.Name}} {{.State.Pid}}", *names).split("\n")
        found = dict(line.removeprefix("/").split() for line in lines if line)
        return {name: int(process) for name, process in found.items() if process != "0"}

    def runs(self, host: ground.Host) -> bool:
        """Whether its container does now."""
        assert isinstance(host, Host)
        try:
            return bool(host.prefix)
        except AssertionError:
            return False

    def _create(self, host: Host, options: list[str], command: tuple[str, ...]) -> None:
        docker(
            *("create", "--name", host.container, "--network", self._network, "--no-healthcheck"),
            *("--ip", host.address, *self._options, *options, self._image, *command),
        )


@contextmanager
def containers(image: str = IMAGE, options: tuple[str, ...] = ()) -> Iterator[Containers]:
    """A network that is gone afterwards, with everybody on it."""
    made = Containers(f"pf{os.getpid()}-{next(_FLOORS)}", image, options)
    try:
        made.up()
        yield made
    finally:
        made.down()


def _sweep() -> None:
    """Remove what is named after a process that is no more."""
    for what, remove in (
        ("container", ("rm", "--force", "--volumes")),
        ("network", ("rm",)),
        ("volume", ("rm",)),
    ):
        every = ("--all",) if what == "container" else ()
        shown = "{{.Names}}" if what == "container" else "{{.Name}}"
        for name in docker(what, "ls", *every, "--format", shown).split():
            maker = re.match(r"pf(\d+)-", name)
            if maker and not Path(f"/proc/{maker[1]}").exists():
                subprocess.run(("docker", what, *remove, name), check=False, capture_output=True)


def docker(*arguments: str) -> str:
    """Type a command of the engine; its output."""
    return done("docker", *arguments)


def _signalled(container: str, number: signal.Signals) -> bool:
    """Whether it runs, and so was told."""
    command = ("docker", "kill", "--signal", number.name, container)
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
