"""A release that says how it wants to reach a floor."""

from pathlib import Path

import pytest

from p2pupd.demo.device import COMPONENT, HARDWARE, Device
from p2pupd.model.rollout import Rollout
from scenarios.lib.fleet import Json, all_reach, events, fleet, knows, powered, until
from scenarios.lib.floor import MIB, PATIENT
from scenarios.lib.ground import Ground
from scenarios.lib.office import Office
from scenarios.lib.stick import Stick

CANARIES_FIRST = Rollout(canary_groups=("canary",), max_failures=200)
TALKATIVE: Json = {"interval": 0.3, "pace": 0.1}


@pytest.mark.timeout(120)
async def test_a_rollout_whose_canary_fails_halts_on_every_device(
    ground: Ground, tmp_path: Path
) -> None:
    office = Office(tmp_path / "office", MIB)
    async with fleet(ground, office.anchor) as made:
        seed = made.seed(settings={"fleet": TALKATIVE})
        first = {"fleet": TALKATIVE | {"groups": ["canary"]}, "health": {"deadline": 3}}
        canary = made.device("canary", healthy=False, settings=first)
        others = [
            made.device(f"d{number}", settings=PATIENT | {"fleet": TALKATIVE})
            for number in range(6)
        ]
        async with powered([seed, canary, *others]):
            for each in (seed, canary, *others):
                await knows(each, 7, within=60)
            said: Json = {"component": COMPONENT, "hardware_ids": (HARDWARE,)}
            office.add(1, size=MIB, rollout=CANARIES_FIRST, **said)
            Stick(office, made.directory, made.stick).plug_in()
            await all_reach([canary], "reverted", within=60)
            for each in others:
                await until(lambda each=each: _halted(each), 40, "halted")  # type: ignore[misc]
                told = [event["event"] for event in await events(each)]
                assert "deployment.installing" not in told


async def _halted(device: Device) -> bool:
    """Whether that is why it does not install."""
    found = await device.ask("/v1/why") or {"gates": []}
    return "halted" in [gate["code"] for gate in found["gates"]]
