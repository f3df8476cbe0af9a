"""A floor on which a release goes in waves: devices of known waves, and what they tell of it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from p2pupd.core.tally import INSTALLS
from p2pupd.core.waves import stage_of
from p2pupd.demo.device import COMPONENT, HARDWARE, Device
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Release
from p2pupd.model.rollout import Rollout
from p2pupd.trust.identity import load_or_create
from scenarios.lib.fleet import PASS, Fleet, Json, events, on, p2pupd
from scenarios.lib.office import Office

SETTLE: Final = 6
PHASE_CHANGED: Final = "phase.changed"
QUICK: Final[dict[str, Json]] = {
    "device": {"recheck": 1},
    "health": {"interval": 0.2, "successes": 2, "settle": 0.2, "deadline": 3},
    "discovery": {"check_interval": 4},
}
"""A trial takes seconds, a cut is noticed in some ten."""


def publish(office: Office, policy: Rollout, **said: Any) -> Release:
    """Release 1, which goes as `policy` says."""
    return office.add(
        1,
        size=office.size,
        component=COMPONENT,
        hardware_ids=(HARDWARE,),
        rollout=policy,
        **said,
    )


@dataclass(frozen=True)
class Operator:
    """The site's operator, in a directory of his own."""

    directory: Path
    public: str

    async def orders(self, device: Device, *order: str, expect: int = 0) -> str:
        """Give an order on a device."""
        by = ("--operator", str(self.directory), PASS)
        return await on(device, "site", *order, *by, expect=expect)


async def operator(directory: Path, anchor: Path) -> Operator:
    """Make him."""
    said = await p2pupd("site", "init", str(directory), "--anchor", str(anchor), PASS)
    return Operator(directory, said.split('operators = ["')[1].split('"')[0])


def settings(**sections: Json) -> dict[str, Json]:
    """QUICK, with these values laid over it, section by section."""
    site: dict[str, Json] = {"site": {"settle": SETTLE}}
    base = QUICK | site
    return base | {name: base.get(name, {}) | values for name, values in sections.items()}


def of_stages(
    floor: Fleet,
    release: Release,
    *stages: int,
    common: dict[str, Json],
    failing: Iterable[int] = (),
) -> list[Device]:
    """A device for each number of `stages`, in that stage of the release. The release fails the
    health checks of those whose place in the list is in `failing`."""
    bad = frozenset(failing)
    made = [
        floor.device(f"d{number}", settings=common, healthy=number not in bad)
        for number in range(len(stages))
    ]
    for device, stage in zip(made, stages, strict=True):
        _settle_in(device, release, stage)
    return made


def _settle_in(device: Device, release: Release, stage: int) -> None:
    """Give it an identity of that stage, as chance would."""
    key = device.directory / "device.key"
    while stage_of(release, load_or_create(key).id, ()) != stage:
        key.unlink()


def identity(device: Device) -> DeviceId:
    return load_or_create(device.directory / "device.key").id


async def codes(device: Device) -> set[str]:
    """The gates that are closed there, says `why`."""
    found = await device.ask("/v1/why") or {"gates": []}
    return {gate["code"] for gate in found["gates"]}


async def view(device: Device) -> dict[str, Json]:
    """The floor as it knows it, by id."""
    return {each["id"]: each for each in await device.ask("/v1/fleet") or []}


async def installations(device: Device) -> list[tuple[float, float]]:
    """From when to when (Unix seconds) it was busy with a release; to infinity if it still is."""
    found, began = [], None
    for line in await events(device):
        if line["event"] != PHASE_CHANGED:
            continue
        busy = line["to"] in INSTALLS
        if busy and began is None:
            began = line["at"]
        elif not busy and began is not None:
            found.append((began, line["at"]))
            began = None
    return found if began is None else [*found, (began, float("inf"))]


async def most_at_once(devices: Iterable[Device]) -> int:
    """How many of them were busy at the same time, at most."""
    spans = [span for each in devices for span in await installations(each)]
    return max((sum(a <= begin < b for a, b in spans) for begin, _ in spans), default=0)


async def runs(device: Device) -> int:
    """The release that it runs; the factory's is 0."""
    status = await device.status()
    return -1 if status is None else int(status["installed"]["release"])


async def logged(device: Device, text: str) -> bool:
    """Whether the daemon's log has it."""
    return text in await asyncio.to_thread(device.log_file.read_text)
