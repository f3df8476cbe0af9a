"""What a device asks before it installs, what it remembers of that, and what it tells."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2pupd.engine.courses import FILE
from p2pupd.engine.turns import Turns
from p2pupd.errors import HostError, UsageError
from p2pupd.model.deployment import Deployment, Phase
from p2pupd.model.fleet import Halt, Seen, Standing, StatusRecord
from p2pupd.model.ids import ComponentId, DeploymentId
from p2pupd.model.orders import OrderKind
from p2pupd.model.release import Release, Urgency
from p2pupd.model.rollout import Rollout
from tests.builders import COMPONENT, a_record, a_release
from tests.engine_rig import Rig
from tests.floors import NOW, device_of, doing, record, reverted, seen, working
from tests.publishing import Publisher
from tests.support import eventually

PLAIN = a_release()
CANARIES = a_release(
    rollout=Rollout(canary_groups=("canary",), canary_soak_minutes=10, max_failures=200)
)
TWO = a_release(rollout=Rollout(max_concurrent=2))
KEY = (ComponentId(COMPONENT), 7)
SETTLE = 0.2

Make = Callable[..., Rig]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    anchor = Publisher(tmp_path / "office", threshold=1, root_keys=1).keys / "root.json"

    def made(**site: Any) -> Rig:
        return Rig(tmp_path / "device", anchor, NOW, {"site": {"settle": SETTLE} | site})

    return made


async def turns_of(rig: Rig, *, consent: bool = False) -> Turns:
    made = Turns(
        rig.parts,
        consent=consent,
        copying=lambda: False,
        look_again=rig.look_again,
        note=rig.note,
    )
    await made.load()
    return made


def waiting(number: int = 1) -> Deployment:
    return a_record(Phase.WAITING, id=DeploymentId(str(number)))


async def held(turns: Turns, release: Release, number: int = 1) -> list[str]:
    """By which gates; none takes the turn."""
    return [gate.reason for gate in await turns.ask(waiting(number), release)]


def canary(rig: Rig, said: Callable[..., StatusRecord] = record) -> Seen:
    """The floor's only canary says this now."""
    device = device_of(PLAIN, 1)
    about = said(device) if said is record else said(device, CANARIES)
    return seen(replace(about, groups=("canary",)), rig.now)


def own(rig: Rig) -> Seen:
    return replace(seen(record(rig.parts.device)), standing=Standing.OWN)


async def test_without_a_policy_the_turn_is_taken_and_is_not_asked_for_twice(make: Make) -> None:
    rig = make()
    turns = await turns_of(rig)
    assert await held(turns, PLAIN) == []
    rig.ordered(OrderKind.HOLD)
    assert await held(turns, PLAIN) == []
    assert await held(turns, PLAIN, number=2) == ["hold"]


async def test_a_stage_soaks_from_when_it_was_first_seen_to_succeed_over_restarts(
    make: Make,
) -> None:
    rig = make(settle=0)
    rig.hears(own(rig), canary(rig, working))
    assert await held(await turns_of(rig), CANARIES) == ["soak"]
    rig.now += 599
    rig.hears(canary(rig, working))
    again = await turns_of(rig)
    assert await held(again, CANARIES) == ["soak"]
    rig.now += 1
    assert await held(again, CANARIES) == []


@pytest.mark.parametrize("seconds", [1e9, -9e5])
async def test_a_clock_that_is_set_neither_ends_a_soak_nor_begins_it_anew(
    make: Make, seconds: float
) -> None:
    rig = make(settle=0)
    rig.hears(own(rig), canary(rig, working))
    turns = await turns_of(rig)
    assert await held(turns, CANARIES) == ["soak"]
    rig.now += seconds
    rig.hears(canary(rig, working))
    assert await held(turns, CANARIES) == ["soak"]
    again = await turns_of(rig)
    assert await held(again, CANARIES) == ["soak"]
    rig.now += 600
    rig.hears(canary(rig, working))
    assert await held(await turns_of(rig), CANARIES) == []


async def test_a_halt_is_noted_once_told_and_lifted_by_a_resume_only(make: Make) -> None:
    rig = make(settle=0)
    rig.hears(own(rig), canary(rig, reverted))
    turns = await turns_of(rig)
    await turns.watch([CANARIES, a_release(9)])
    assert rig.said == ["rollout.halted"]
    assert turns.halts() == (Halt(*KEY, 0),)
    rig.hears(canary(rig))
    await turns.watch([CANARIES])
    later = await turns_of(rig)
    assert later.halts() == turns.halts()
    assert "halted" in await held(later, CANARIES)
    rig.ordered(OrderKind.RESUME, sequence=5)
    assert later.halts() == ()
    assert await held(later, CANARIES) == ["wave"]
    assert rig.said == ["rollout.halted"]


async def test_what_failed_here_is_forgiven_by_a_later_resume_and_once(make: Make) -> None:
    rig = make()
    journal = rig.disk.journal
    turns = await turns_of(rig)
    journal.mark_bad(*KEY, "unhealthy", NOW)
    assert not turns.forgiven(*KEY)
    rig.ordered(OrderKind.RESUME, sequence=5)
    assert turns.forgiven(*KEY)
    await turns.began(PLAIN)
    assert journal.bad_releases() == {}
    assert turns.resumed(*KEY) == 5
    journal.mark_bad(*KEY, "unhealthy", NOW)
    assert not turns.forgiven(*KEY)
    assert not (await turns_of(rig)).forgiven(*KEY)


async def test_a_device_that_cannot_remember_that_it_was_forgiven_does_not_try(make: Make) -> None:
    rig = make()
    turns = await turns_of(rig)
    (rig.directory / FILE).mkdir()
    rig.ordered(OrderKind.RESUME, sequence=5)
    await turns.began(PLAIN)
    rig.disk.journal.mark_bad(*KEY, "unhealthy", NOW)
    rig.ordered(OrderKind.RESUME, sequence=6)
    with pytest.raises(HostError):
        await turns.began(PLAIN)
    assert KEY in rig.disk.journal.bad_releases()


async def test_a_place_is_asked_for_told_waited_for_and_given_up(make: Make) -> None:
    rig = make()
    others = [device_of(PLAIN, 1, each) for each in range(2)]
    rig.hears(own(rig), *(seen(doing(each, TWO, Phase.INSTALLING, ticket=3)) for each in others))
    turns = await turns_of(rig)
    assert turns.ticket(*KEY) == 0
    assert set(await held(turns, TWO)) == {"listening", "reserving"}
    assert turns.ticket(*KEY) == 0
    await _until_only(turns, TWO, ["full"])
    assert turns.ticket(*KEY) == 4
    assert rig.changes == 1
    rig.hears(seen(working(others[0], TWO)))
    await eventually(lambda: rig.looks)
    await _until_only(turns, TWO, [])
    rig.ordered(OrderKind.HOLD)
    assert await held(turns, TWO, number=2) == ["hold"]
    assert turns.ticket(*KEY) == 0


async def _until_only(turns: Turns, release: Release, codes: list[str]) -> None:
    async with asyncio.timeout(10):
        while await held(turns, release) != codes:
            await asyncio.sleep(0.01)


async def test_consent_is_kept_over_restarts_and_ahead_passes_the_waves(make: Make) -> None:
    rig = make(settle=0)
    rig.hears(own(rig), canary(rig))
    turns = await turns_of(rig, consent=True)
    assert await held(turns, CANARIES) == ["wave", "consent"]
    await turns.approve(7, ahead=False)
    assert await held(await turns_of(rig, consent=True), CANARIES) == ["wave"]
    await turns.approve(7, ahead=True)
    assert await held(await turns_of(rig, consent=True), CANARIES) == []


async def test_a_release_is_deferred_as_often_and_as_long_as_the_site_allows(make: Make) -> None:
    rig = make(deferrals=1, deferral=600)
    turns = await turns_of(rig)
    with pytest.raises(UsageError, match="by 600 s at most"):
        await turns.defer(PLAIN, 601)
    with pytest.raises(UsageError, match="security"):
        await turns.defer(a_release(urgency=Urgency.SECURITY), 60)
    assert await turns.defer(PLAIN, None) == NOW + 600
    with pytest.raises(UsageError, match="allows 1"):
        await turns.defer(PLAIN, 60)
    later = await turns_of(rig)
    assert await held(later, PLAIN) == ["deferred"]
    rig.now += 600
    assert await held(later, PLAIN) == []


async def test_a_gate_that_opens_by_itself_is_looked_at_when_it_does(make: Make) -> None:
    rig = make(deferrals=1, deferral=600)
    turns = await turns_of(rig)
    await turns.defer(PLAIN, None)
    rig.now += 599.9
    assert await held(turns, PLAIN) == ["deferred"]
    await eventually(lambda: rig.looks == 1, within=2)


async def test_an_interlock_is_not_asked_by_many_at_the_same_time(
    make: Make, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    turns = await turns_of(make(interlock_command=["sh", "-c", f"echo >> {asked}; sleep 0.2"]))
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(turns.locked())
    assert len(asked.read_text()) <= 2
    asked.unlink()
    assert await turns.locked() == ()
    assert asked.exists()


async def test_production_that_runs_delays_a_restart_and_is_noted_once(
    make: Make, tmp_path: Path
) -> None:
    busy = tmp_path / "busy"
    rig = make(interlock_file=str(busy))
    turns = await turns_of(rig)
    assert await turns.restarting(PLAIN) is None
    assert rig.said == []
    busy.touch()
    [gate] = await turns.gates(PLAIN)
    assert gate.reason == "interlock"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await turns.restarting(PLAIN)
    assert rig.said == ["restart.waits"]


async def test_who_is_written_off_holds_nobody_up_until_it_is_heard_again(make: Make) -> None:
    rig = make(settle=0, devices=1)
    gone = [canary(rig), seen(record(device_of(PLAIN, 1, 3)))]
    rig.hears(own(rig), *(replace(each, heard=rig.now - 9000.0) for each in gone))
    turns = await turns_of(rig)
    assert await held(turns, CANARIES) == ["wave", "cut-off"]
    rig.writes_off(7200, rig.now)
    assert await held(turns, CANARIES) == ["soak"]
    rig.hears(canary(rig))
    assert await held(turns, CANARIES) == ["wave"]


async def test_nobody_starts_into_a_release_that_was_halted_meanwhile(make: Make) -> None:
    rig = make(settle=0)
    rig.hears(own(rig), canary(rig))
    turns = await turns_of(rig)
    assert await turns.restarting(CANARIES) is None
    rig.hears(canary(rig, reverted))
    gate = await turns.restarting(CANARIES)
    assert gate is not None
    assert gate.reason == "halted"
    rig.ordered(OrderKind.RESUME, sequence=5)
    assert await turns.restarting(CANARIES) is None


async def test_of_another_device_only_what_the_floor_proves_is_told(make: Make) -> None:
    rig = make(windows=["00:00-00:01"])
    other = record(device_of(PLAIN, 1, 3))
    rig.hears(own(rig), canary(rig), seen(other))
    turns = await turns_of(rig, consent=True)
    assert [gate.reason for gate in turns.gates_of(other, CANARIES)] == ["wave"]
    ours = {gate.reason for gate in await turns.gates(CANARIES)}
    assert {"wave", "consent"} <= ours


async def test_nothing_of_a_rollout_without_policy_is_written_down(make: Make) -> None:
    rig = make()
    turns = await turns_of(rig)
    rig.hears(own(rig), seen(reverted(device_of(PLAIN, 1), PLAIN)))
    await turns.watch([PLAIN])
    assert not (rig.directory / FILE).exists()
    assert turns.halts() == ()
