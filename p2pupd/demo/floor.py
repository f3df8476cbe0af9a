"""A floor from nothing: keys, a signed release, a stick, a seed, and devices that update.

Every step is the command that a person would type, run as its own process.
"""

import asyncio
import os
import random
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from p2pupd.demo.device import COMPONENT, HARDWARE, Device, Json
from p2pupd.errors import UpdateError
from p2pupd.host.processes import run

STEP_TIMEOUT: Final = 120.0
DASHBOARD_PORT: Final = 8080
IMAGE_BLOCK: Final = 1 << 20
ENDS: Final = frozenset({"confirmed", "reverted", "refused", "failed", "cancelled", "superseded"})

Say = Callable[[str], None]


@dataclass(slots=True)
class Floor:
    """Everything lives below `directory`; `say` is told each command before it runs."""

    directory: Path
    devices: int
    size: int
    say: Say
    seed: Device = field(init=False)
    peers: list[Device] = field(init=False)

    def __post_init__(self) -> None:
        anchor = self.directory / "repo" / "metadata" / "1.root.json"
        # Any two floors on one machine should not share addresses.
        block = f"127.{random.randrange(64, 250)}.{random.randrange(1, 250)}"  # noqa: S311
        shows: dict[str, Json] = {
            "media": {"directories": [str(self.stick)]},
            "dashboard": {"listen": f"{block}.1:{DASHBOARD_PORT}"},
            "control": {"token_file": str(self.directory / "control.token")},
        }
        self.seed = Device(
            "seed",
            self.directory / "seed",
            f"{block}.1",
            anchor,
            role="seed",
            installs=False,
            settings=shows,
        )
        self.peers = [
            Device(
                f"device-{number}",
                self.directory / f"d{number}",
                f"{block}.{number + 1}",
                anchor,
                healthy=number != self.devices,
            )
            for number in range(1, self.devices + 1)
        ]

    @property
    def stick(self) -> Path:
        """Where the stick appears when it is plugged in."""
        return self.directory / "stick"

    @property
    def dashboard(self) -> str:
        """Where a browser sees the floor."""
        return f"http://{self.seed.address}:{DASHBOARD_PORT}/"

    @property
    def everyone(self) -> list[Device]:
        """The seed and the devices."""
        return [self.seed, *self.peers]

    async def publish(self) -> None:
        """What the release engineer does: keys, a release, a stick in the pocket."""
        image = self.directory / "release-1.img"
        await asyncio.to_thread(_write_image, image, self.size)
        repo, pocket = self.directory / "repo", self.directory / "pocket"
        trial = ("--line", "demo", "--threshold", "1", "--no-passphrase")
        await self._type("repo", "init", str(repo), *trial)
        what = ("--component", COMPONENT, "--version", "1.0", "--hardware", HARDWARE)
        await self._type("repo", "add", str(image), "--repo", str(repo), *what, "--no-passphrase")
        pocket.mkdir()
        await self._type("repo", "export", str(pocket), "--repo", str(repo))
        image.unlink()

    async def _type(self, *arguments: str) -> None:
        self.say("p2pupd " + " ".join(arguments))
        finished = await run((sys.executable, "-m", "p2pupd", *arguments), timeout=STEP_TIMEOUT)
        if finished.code != 0:
            raise UpdateError(f"{finished.summary}\n{finished.errors}")

    def prepare(self) -> None:
        """Directories and configuration of every device, and the token of the dashboard."""
        token = self.directory / "control.token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32) + "\n")
        for each in self.everyone:
            each.prepare()

    def plug_in(self) -> None:
        """The stick goes from the pocket into the seed."""
        os.rename(self.directory / "pocket", self.stick)

    def acquainted(self, statuses: dict[str, Any]) -> bool:
        """Does every device know all others (or as many as it keeps)?"""
        wanted = min(self.devices, 30)
        return all(
            statuses.get(each.name) and statuses[each.name]["neighbours"] >= wanted
            for each in self.everyone
        )

    async def statuses(self) -> dict[str, Any]:
        """The status of each device by name; None for one that does not answer now."""
        async with asyncio.TaskGroup() as group:
            asked = {each.name: group.create_task(each.status()) for each in self.everyone}
        return {name: task.result() for name, task in asked.items()}

    def ended(self, statuses: dict[str, Any]) -> bool:
        """Has every device come to an end with the release?"""
        return all(phase_of(statuses[each.name]) in ENDS for each in self.peers)

    async def summary(self, statuses: dict[str, Any], seconds: float) -> "Summary":
        """What happened, in numbers."""
        phases = [phase_of(statuses[each.name]) for each in self.peers]
        seed = statuses["seed"] or {"transfers": []}
        sent = sum(each["bytes"]["sent"] for each in seed["transfers"])
        received = 0
        for each in self.peers:
            received += (await each.received())["lan"]
        return Summary(
            seconds=seconds,
            size=self.size,
            from_seed=sent,
            between_peers=max(0, received - sent),
            confirmed=phases.count("confirmed"),
            rolled_back=phases.count("reverted"),
            others=tuple(_others(self.peers, phases)),
            expected=self.devices,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """Payload bytes, and results. `others` are devices that ended in some other way."""

    seconds: float
    size: int
    from_seed: int
    between_peers: int
    confirmed: int
    rolled_back: int
    others: tuple[str, ...]
    expected: int

    @property
    def as_expected(self) -> bool:
        """All confirmed but the one that was made to fail, which went back."""
        return self.confirmed == self.expected - 1 and self.rolled_back == 1


def phase_of(status: dict[str, Any] | None) -> str:
    """The phase of a device's deployment; `off` while it does not answer, `idle` without one."""
    if status is None:
        return "off"
    deployment = status["deployment"]
    return "idle" if deployment is None else str(deployment["phase"])


def _others(devices: list[Device], phases: list[str]) -> Iterator[str]:
    for device, phase in zip(devices, phases, strict=True):
        if phase not in ("confirmed", "reverted"):
            yield f"{device.name}: {phase}"


def _write_image(path: Path, size: int) -> None:
    """Random bytes: nothing of it can be guessed or compressed."""
    with open(path, "wb") as file:
        while size > 0:
            block = min(size, IMAGE_BLOCK)
            file.write(os.urandom(block))
            size -= block
