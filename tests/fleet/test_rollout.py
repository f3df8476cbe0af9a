"""A rollout on real daemons: it halts where devices fail, and goes on where an operator says so."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from p2pupd.demo.device import COMPONENT, HARDWARE, Device
from p2pupd.model.rollout import Rollout
from scenarios.lib.fleet import (
    PASS,
    Fleet,
    Json,
    all_reach,
    events,
    fleet,
    on,
    p2pupd,
    powered,
    until,
)
from scenarios.lib.office import Office

SIZE = 256 * 1024
QUICK: dict[str, Json] = {
    "health": {"interval": 0.05, "successes": 1, "settle": 0.0, "deadline": 1},
    "fleet": {"interval": 0.3, "pace": 0.1},
}
SETTLE = 2
CANARIES_FIRST = Rollout(canary_groups=("canary",), max_failures=200)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "office", SIZE)
    made.add(1, size=SIZE, component=COMPONENT, hardware_ids=(HARDWARE,), rollout=CANARIES_FIRST)
    return made


@pytest.fixture
async def floor(office: Office) -> AsyncIterator[Fleet]:
    async with fleet(None, office.anchor) as made:
        yield made


async def _operator(directory: Path, anchor: Path) -> str:
    """Make an operator; his public key."""
    said = await p2pupd("site", "init", str(directory), "--anchor", str(anchor), PASS)
    return said.split('operators = ["')[1].split('"')[0]


async def _said(asked: Device, about: Device) -> Json:
    """What `asked` knows of the other device."""
    found: list[Json] = await asked.ask("/v1/fleet") or []
    known = (each for each in found if each["links"] and each["links"][0]["address"])
    return next((each for each in known if each["links"][0]["address"] == about.address), {})


async def _codes(asked: Device) -> list[str]:
    found = await asked.ask("/v1/why") or {"gates": []}
    return [gate["code"] for gate in found["gates"]]


async def test_a_release_that_fails_halts_everywhere_until_an_operator_resumes_it(
    office: Office, floor: Fleet, tmp_path: Path
) -> None:
    operator = tmp_path / "operator"
    orders = {"operators": [await _operator(operator, office.anchor)], "settle": SETTLE}
    settings = QUICK | {"site": orders}
    canary_settings = settings | {"fleet": {**QUICK["fleet"], "groups": ["canary"]}}
    seed = floor.seed(settings=settings)
    canary = floor.device("canary", settings=canary_settings, healthy=False)
    later = floor.device("later", settings=settings)

    async def halted() -> bool:
        said = await _said(seed, later)
        return "halted" in await _codes(later) and bool(said.get("halts"))

    async def goes_on() -> bool:
        codes, said = await _codes(later), await _said(canary, later)
        return "wave" in codes and "halted" not in codes and said.get("halts") == []

    async def failed_after(resume: int) -> bool:
        said = await _said(later, canary)
        return bool(said.get("history")) and said["history"][0]["resumed"] == resume

    async with powered([seed, canary, later]):
        office.stick(tmp_path / "pocket").rename(floor.stick)
        await until(halted, 60, "the canary fails, and the release is halted")
        said = await _said(seed, later)
        assert said["halts"] == [{"component": COMPONENT, "release": 1, "resumed": 0}]
        assert await failed_after(0)
        await on(later, "site", "resume", "1", "--operator", str(operator), PASS)
        await until(goes_on, 20, "the resume crosses the floor")
        [resume] = (await canary.status() or {})["site"]["orders"]
        assert resume["kind"] == "resume"
        await until(lambda: failed_after(resume["sequence"]), 60, "it fails once more")
        await until(halted, 20, "halted again")
        told = [each["event"] for each in await events(later)]
        assert told.count("rollout.halted") == 2
        assert "deployment.installing" not in told
        await _mended(canary, later, operator)


async def test_whoever_waits_to_restart_goes_back_when_the_release_is_halted(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path / "limited", SIZE)
    limit = Rollout(max_failures=200)
    office.add(1, size=SIZE, component=COMPONENT, hardware_ids=(HARDWARE,), rollout=limit)
    async with fleet(None, office.anchor) as limited:
        seed = limited.seed(settings=QUICK)
        bad = limited.device("bad", settings=QUICK, healthy=False)
        busy = limited.device("busy", settings=QUICK | {"site": _armed_is_busy(limited)})

        async def back() -> bool:
            said = await _said(seed, busy)
            ends = [each["reason"] for each in said.get("history", ())]
            return ends == ["halted"] and "halted" in await _codes(busy)

        async with powered([seed, bad, busy]):
            office.stick(tmp_path / "pocket").rename(limited.stick)
            await until(back, 60, "it is back, and held by the halt")
            status = await busy.status() or {}
            assert (status["installed"]["release"], status["bad"], busy.boots) == (0, [], 1)


def _armed_is_busy(floor: Fleet) -> Json:
    """Production runs whenever its slot is armed."""
    state = floor.directory / "busy" / "boot.json"
    return {"interlock_command": ["sh", "-c", f'! grep -q \'"armed": *"B"\' {state}']}


async def test_an_order_to_write_off_spares_who_is_silent_for_less(tmp_path: Path) -> None:
    office = Office(tmp_path / "careful", SIZE)
    one = Rollout(max_concurrent=1)
    office.add(1, size=SIZE, component=COMPONENT, hardware_ids=(HARDWARE,), rollout=one)
    operator = tmp_path / "operator"
    orders = {"operators": [await _operator(operator, office.anchor)], "settle": SETTLE}
    async with fleet(None, office.anchor) as careful:
        seed = careful.seed(settings=QUICK | {"site": orders})
        here = careful.device("here", settings=QUICK | {"site": orders})
        gone = [careful.device(f"gone{each}", settings=QUICK) for each in range(3)]

        async def known() -> bool:
            return [len(await each.ask("/v1/fleet") or []) for each in (seed, here)] == [5, 5]

        async def waits() -> bool:
            return "cut-off" in await _codes(here)

        async with powered([seed, here]):
            async with powered(gone):
                await until(known, 60, "everybody has said something")
            office.stick(tmp_path / "pocket").rename(careful.stick)
            await until(waits, 60, "most of the floor is silent")
            retire = ("site", "retire", "--operator", str(operator), PASS, "--silent")
            assert "between 1h and 10 years" in await on(here, *retire, "59m", expect=2)
            assert "obeyed here" in await on(here, *retire, "2h")

            async def crossed() -> bool:
                orders = (await seed.status() or {"site": {"orders": []}})["site"]["orders"]
                return [each["label"] for each in orders] == ["retire who was silent for 7200 s"]

            await until(crossed, 20, "the order crosses the floor")
            await asyncio.sleep(SETTLE)
            assert "cut-off" in await _codes(here)


async def _mended(canary: Device, later: Device, operator: Path) -> None:
    """What made the canary fail is repaired; then one resume is enough for all."""
    canary.healthy = True
    canary.prepare()
    await on(later, "site", "resume", "1", "--operator", str(operator), PASS)
    await all_reach([canary, later], "confirmed", within=60)
    assert (await canary.status() or {})["bad"] == []
