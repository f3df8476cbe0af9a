"""Every gate that is closed, of this device and of others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2pupd.engine.loop import Engine
from p2pupd.engine.why import explain
from p2pupd.errors import UsageError
from p2pupd.feeds.interface import Offer
from p2pupd.feeds.medium import read_offer
from p2pupd.model.deployment import Phase
from p2pupd.model.ids import DeviceId
from p2pupd.model.orders import OrderKind
from p2pupd.model.rollout import Rollout, Wave
from tests.builders import COMPONENT, a_release
from tests.engine_rig import Rig, engine_of
from tests.floors import device_of, doing, record, reverted, seen, working
from tests.publishing import NOW, Publisher
from tests.support import eventually_async

HALVES = Rollout(waves=(Wave(500), Wave(1000)), max_failures=200)
Gates = dict[str, str]
Make = Callable[..., Rig]


@pytest.fixture
def office(tmp_path: Path) -> Publisher:
    made = Publisher(tmp_path / "office", threshold=1, root_keys=1)
    made.add(7, rollout=HALVES)
    return made


@pytest.fixture
def make(tmp_path: Path, office: Publisher) -> Make:
    def made(**sections: dict[str, Any]) -> Rig:
        return Rig(tmp_path / "device", office.keys / "root.json", float(NOW), sections)

    return made


@asynccontextmanager
async def offered(rig: Rig, office: Publisher, *, carried: bool = True) -> AsyncIterator[Engine]:
    """Its engine, which was given the office's releases; or, if not `carried`, heard of them."""
    offer = await asyncio.to_thread(read_offer, office.directory)
    async with engine_of(rig) as engine:
        engine.offer(offer if carried else Offer("neighbour:x", offer.bundle))
        await eventually_async(lambda: _manifest(engine))
        yield engine


async def _manifest(engine: Engine) -> bool:
    return engine.manifest is not None


async def gates(engine: Engine, rig: Rig, device: str | None = None) -> Gates:
    found = (await explain(engine, rig.parts, device))["gates"]
    return {gate["code"]: gate["detail"] for gate in found}


async def test_a_device_that_was_offered_nothing_says_so(make: Make) -> None:
    rig = make()
    async with engine_of(rig) as engine:
        assert list(await gates(engine, rig)) == ["no-manifest"]
        assert (await explain(engine, rig.parts, None))["release"] is None


async def test_nothing_holds_back_what_runs_already(make: Make, office: Publisher) -> None:
    rig = make(device={"factory_release": 7})
    async with offered(rig, office) as engine:
        assert await gates(engine, rig) == {}


async def test_what_waits_names_its_gates_its_stage_and_its_place(
    make: Make, office: Publisher
) -> None:
    rig = make(device={"consent": True})
    async with offered(rig, office) as engine:
        await until_phase(engine, rig, "waiting")
        rig.ordered(OrderKind.HOLD)
        found = await explain(engine, rig.parts, rig.parts.device[:6])
        assert {"hold", "consent"} <= {gate["code"] for gate in found["gates"]}
        assert found["release"] == {"component": COMPONENT, "version": "1.7", "release": 7}
        assert found["stage"] == f"wave {1 if found['place'] < 500 else 2} of 2"


async def until_phase(engine: Engine, rig: Rig, phase: str) -> None:
    async def reached() -> bool:
        return bool((await explain(engine, rig.parts, None))["phase"] == phase)

    await eventually_async(reached)


async def test_what_is_not_here_yet_is_the_first_reason(make: Make, office: Publisher) -> None:
    rig = make(device={"consent": True})
    async with offered(rig, office, carried=False) as engine:
        await until_phase(engine, rig, "fetching")
        found = await gates(engine, rig)
        assert next(iter(found)) == "fetching"
        assert "consent" in found


async def test_an_armed_device_waits_for_production_alone(
    make: Make, office: Publisher, tmp_path: Path
) -> None:
    busy = tmp_path / "busy"
    rig = make(site={"interlock_file": str(busy)}, device={"consent": True})
    async with offered(rig, office) as engine:
        await until_phase(engine, rig, "waiting")
        await engine.approve(7, again=False, ahead=True)
        await until_phase(engine, rig, "armed")
        assert await gates(engine, rig) == {}
        busy.touch()
        assert list(await gates(engine, rig)) == ["interlock"]


async def test_a_release_that_failed_here_says_so_until_it_is_forgiven(
    make: Make, office: Publisher
) -> None:
    rig = make(device={"consent": True})
    rig.disk.journal.mark_bad(COMPONENT, 7, "unhealthy", NOW)
    async with offered(rig, office) as engine:
        found = await gates(engine, rig)
        assert "p2pupd site resume 7" in found["known-bad"]
        rig.ordered(OrderKind.RESUME)
        engine.reconsider()
        await until_phase(engine, rig, "waiting")
        assert "known-bad" not in await gates(engine, rig)


RELEASE = a_release(rollout=HALVES)
FIRST, SECOND = (device_of(RELEASE, stage, 3) for stage in (1, 2))


async def test_of_others_it_tells_what_the_floor_proves(make: Make, office: Publisher) -> None:
    rig = make()
    waits = replace(doing(SECOND, RELEASE, Phase.WAITING, reason="interlock"), at=NOW)
    rig.hears(seen(record(FIRST), NOW), seen(waits, NOW))
    async with offered(rig, office) as engine:
        assert list(await gates(engine, rig, FIRST)) == []
        assert list(await gates(engine, rig, SECOND)) == ["wave", "interlock"]
        rig.hears(seen(working(FIRST, RELEASE), NOW))
        assert list(await gates(engine, rig, FIRST)) == []
        assert list(await gates(engine, rig, SECOND)) == ["interlock"]
        rig.hears(seen(reverted(FIRST, RELEASE, detail="says no"), NOW))
        found = await gates(engine, rig, FIRST)
        assert found["failed"] == "release 7 failed there: unhealthy: says no"
        assert "halted" in found
        rig.now += 3600
        assert next(iter(await gates(engine, rig, SECOND))) == "silent"


async def test_of_a_device_for_which_there_is_nothing_nothing_is_told(
    make: Make, office: Publisher
) -> None:
    rig = make()
    rig.hears(seen(record(FIRST, hardware_ids=("other",)), NOW))
    async with offered(rig, office) as engine:
        found = await explain(engine, rig.parts, FIRST)
        assert (found["release"], found["stage"], found["gates"]) == (None, None, [])


async def test_a_device_is_named_by_enough_of_its_id(make: Make, office: Publisher) -> None:
    rig = make()
    others = [DeviceId(end.rjust(52, "a")) for end in "bc"]
    rig.hears(*(seen(record(each), NOW) for each in others))
    async with offered(rig, office) as engine:
        with pytest.raises(UsageError, match="give more of the id"):
            await gates(engine, rig, "aaaaaa")
        with pytest.raises(UsageError, match="give more of the id"):
            await gates(engine, rig, "aaa")
        with pytest.raises(UsageError, match="ever heard of here"):
            await gates(engine, rig, "zzzz")
