"""A floor for a scenario: an office that signs, a seed that waits for its stick, and devices."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from p2pupd.demo.device import Device
from p2pupd.demo.floor import phase_of
from scenarios.lib.fleet import Fleet, Json, fleet, knows, powered, until
from scenarios.lib.ground import Ground
from scenarios.lib.office import Office
from scenarios.lib.stick import Stick

MIB = 1 << 20
SIZE = 4 * MIB
DEVICES = 7
"""With the seed, eight nodes."""
LOST = {"failed", "reverted"}
PATIENT: Json = {"health": {"deadline": 30}}
"""A release may take so long to prove itself: many devices boot at once on one machine."""


@dataclass
class Floor:
    """`devices` do not include the seed."""

    fleet: Fleet
    office: Office
    seed: Device
    devices: list[Device]

    @property
    def ground(self) -> Ground:
        """What it stands on."""
        return self.fleet.ground

    @property
    def everyone(self) -> list[Device]:
        """The seed first."""
        return [self.seed, *self.devices]

    def stick(self) -> Stick:
        """A stick in somebody's pocket, with all that is published by now, for the seed."""
        return Stick(self.office, self.fleet.directory, self.fleet.stick)

    async def all_run(self, number: int, image: bytes, within: float) -> None:
        """Every device runs this release and has proved it."""
        for each in self.devices:
            await runs(each, number, image, within)


@asynccontextmanager
async def floor_of(
    ground: Ground,
    directory: Path,
    *,
    devices: int = DEVICES,
    size: int = SIZE,
    settings: Mapping[str, Json] | None = None,
) -> AsyncIterator[Floor]:
    """Everybody is on, and knows everybody; nothing is published yet."""
    office = Office(directory / "office", size)
    async with fleet(ground, office.anchor) as made:
        seed = made.seed()
        others = [
            made.device(f"d{number}", settings=PATIENT | dict(settings or {}))
            for number in range(1, devices + 1)
        ]
        async with powered([seed, *others]):
            for each in [seed, *others]:
                await knows(each, devices, within=60)
            yield Floor(made, office, seed, others)


async def runs(device: Device, number: int, image: bytes, within: float) -> None:
    """It runs this release, of which it has every byte in its slot, and has proved it."""

    async def proved() -> bool:
        status = await device.status()
        phase = phase_of(status)
        assert phase not in LOST, f"{device.name}: {phase}"
        return phase == "confirmed" and bool(status and status["installed"]["release"] == number)

    await until(proved, within, f"{device.name} runs release {number}")
    status = await device.status()
    assert status is not None
    slot = status["installed"]["slot"].lower()
    assert (device.directory / f"slot_{slot}").read_bytes() == image, device.name
