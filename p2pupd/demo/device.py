"""One device of a floor: its directory, its configuration, and the power switch of its daemon.

The device boots as a real one does: at power-on the boot state file says which slot runs, then the
daemon starts. Its reboot command ends the daemon; the device is then powered on again.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from p2pupd.api.control_client import ControlClient
from p2pupd.errors import DaemonUnreachable, UpdateError
from p2pupd.install.bootloaders.statefile import power_on

COMPONENT: Final = "demo-os"
HARDWARE: Final = "demo-board"
HEALTHY: Final = ("true",)
UNHEALTHY: Final = ("sh", "-c", "echo the line controller does not answer >&2; exit 1")
FACTORY_IMAGE: Final = b"factory image\n"

Json = dict[str, Any]


@dataclass(slots=True)
class Device:
    """`prefix` goes before the daemon's command line, e.g. to enter a network namespace.

    `settings` are further configuration, by section, laid over what every device of a floor has.
    """

    name: str
    directory: Path
    address: str
    anchor: Path
    role: str = "peer"
    healthy: bool = True
    installs: bool = True
    prefix: tuple[str, ...] = ()
    settings: Mapping[str, Json] = field(default_factory=dict)
    python: Sequence[str] = (sys.executable, "-m", "p2pupd.demo.leashed", str(os.getpid()))
    process: asyncio.subprocess.Process | None = None
    boots: int = 0

    @property
    def config_file(self) -> Path:
        """What the daemon is started with."""
        return self.directory / "config.toml"

    @property
    def log_file(self) -> Path:
        """Everything that its daemons said."""
        return self.directory / "daemon.log"

    @property
    def control(self) -> ControlClient:
        """The daemon's control API."""
        return ControlClient(self.directory / "control.sock")

    def prepare(self) -> None:
        """Make the directory, the slots and the configuration."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for slot in ("a", "b"):
            path = self.directory / f"slot_{slot}"
            if self.installs and not path.exists():
                path.write_bytes(FACTORY_IMAGE)
        self.config_file.write_text(_toml(self._tables()))

    def _tables(self) -> dict[str, Json]:
        probe = {"name": "line", "command": list(HEALTHY if self.healthy else UNHEALTHY)}
        tables: dict[str, Json] = {
            "device": {
                "state_dir": str(self.directory),
                "role": self.role,
                "hardware": [HARDWARE],
                "reboot_command": ["kill", "-TERM", "{pid}"],
            },
            "health": {
                "deadline": 5,
                "interval": 0.2,
                "successes": 2,
                "settle": 0.5,
                "exec": [probe],
            },
            "trust": {"root": str(self.anchor)},
            "discovery": {"interfaces": [self.address], "networks": ["127.0.0.0/8"]},
            "peer": {"listen": [self.address]},
            "swarm": {"interfaces": [self.address]},
            "media": {"mount_points": [], "removable": False},
        }
        if self.installs:
            slots = {f"slot_{each}": str(self.directory / f"slot_{each}") for each in "ab"}
            tables["install"] = {"component": COMPONENT} | slots
        for section, values in self.settings.items():
            tables[section] = tables.get(section, {}) | dict(values)
        return tables

    async def run(self) -> None:
        """Power on, again after every end of the daemon, until cancelled; then power off."""
        try:
            while True:
                await self.start()
                assert self.process is not None
                await self.process.wait()
        finally:
            await self.stop()

    async def start(self, *, power_on_first: bool = True) -> None:
        """One power-on: the boot state file decides the slot, then the daemon starts.

        Without `power_on_first` only the daemon starts again, as a service manager would do it.
        """
        if self.installs and power_on_first:
            await asyncio.to_thread(power_on, self.directory / "boot.json")
        self.boots += 1
        command = [*self.prefix, *self.python, "daemon", "--config", str(self.config_file)]
        log = await asyncio.to_thread(self.log_file.open, "ab")
        with log:
            self.process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """End the daemon by a signal (SIGKILL is a power cut); its exit code."""
        if self.process is None or self.process.returncode is not None:
            return None if self.process is None else self.process.returncode
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        return await self.process.wait()

    async def ask(self, target: str) -> Any:
        """A GET of the control API; None while the daemon does not answer."""
        try:
            return await asyncio.to_thread(self.control.get, target)
        except DaemonUnreachable:
            return None

    async def status(self) -> Json | None:
        """What `p2pupd status --json` prints; None while the daemon does not answer."""
        answer: Json | None = await self.ask("/v1/status")
        return answer

    async def received(self) -> dict[str, int]:
        """Payload bytes by source over all boots, as the history tells."""
        total = {"lan": 0, "usb": 0}
        for line in await self.ask("/v1/history?limit=1000") or []:
            if line["event"] == "transfer.complete":
                for source in total:
                    total[source] += int(line[source])
        return total

    def tail(self, lines: int = 20) -> str:
        """The end of the daemon's log."""
        try:
            return "\n".join(self.log_file.read_text("utf-8", "replace").splitlines()[-lines:])
        except OSError as error:
            raise UpdateError(f"{self.name} has left no log: {error}") from error


def _toml(tables: Mapping[str, Json]) -> str:
    """TOML for plain tables; JSON's scalars and lists are TOML's."""
    lines: list[str] = []
    for section, values in tables.items():
        inner = {key: value for key, value in values.items() if _is_tables(value)}
        lines.append(f"[{section}]")
        lines += [
            f"{key} = {json.dumps(value)}" for key, value in values.items() if key not in inner
        ]
        for key, items in inner.items():
            for item in items:
                lines.append(f"[[{section}.{key}]]")
                lines += [f"{name} = {json.dumps(value)}" for name, value in item.items()]
    return "\n".join(lines) + "\n"


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
