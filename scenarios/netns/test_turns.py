"""What holds devices back on a real floor: places at once, a cut cable, the owner, operators."""

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from p2pupd.model.rollout import Rollout, Wave
from scenarios.lib.fleet import Json, all_reach, events, fleet, knows, on, phases, powered, until
from scenarios.lib.net import network
from scenarios.lib.office import Office
from scenarios.lib.rollout import (
    SETTLE,
    codes,
    identity,
    installations,
    logged,
    most_at_once,
    of_stages,
    operator,
    publish,
    settings,
)
from tests.support import needs_root

SIZE = 512 * 1024
AT_ONCE = 2
IN_PLACES = Rollout(max_concurrent=AT_ONCE)
NEWS_CROSS = 20
"""Seconds, twice what news needs where a neighbour's hello is asked for every four: the first two
neighbours that are told may both have it already."""
HALVES = Rollout(waves=(Wave(500), Wave(1000)), max_failures=200)


@needs_root
@pytest.mark.timeout(240)
async def test_no_more_devices_install_at_once_than_the_release_allows(tmp_path: Path) -> None:
    office = Office(tmp_path / "office", SIZE)
    release = publish(office, IN_PLACES)
    with network() as net:
        async with fleet(net, office.anchor) as floor:
            common = settings(site={"settle": NEWS_CROSS})
            seed = floor.seed(settings=common)
            devices = of_stages(floor, release, *[1] * 6, common=common)
            async with powered([seed, *devices]):
                for each in devices:
                    await knows(each, len(devices))
                office.stick(tmp_path / "pocket").rename(floor.stick)
                await all_reach(devices, "confirmed", within=150)
                most = await most_at_once(devices)
                print(f"{most} of {len(devices)} at once")
                assert most == AT_ONCE


@needs_root
@pytest.mark.timeout(240)
async def test_a_device_without_a_cable_does_not_run_ahead_of_its_wave(tmp_path: Path) -> None:
    office = Office(tmp_path / "office", SIZE)
    release = publish(office, HALVES)
    with network() as net:
        async with fleet(net, office.anchor) as floor:
            seed = floor.seed(settings=settings())
            devices = of_stages(floor, release, 1, 1, 2, 2, common=settings())
            first, later, cut = devices[:2], devices[2], devices[3]
            [cable] = [each for each in net.hosts if each.address == cut.address]
            for each in first:
                asks = {**each.settings.get("device", {}), "consent": True}
                each.settings = {**each.settings, "device": asks}
                each.prepare()
            async with powered([seed, *devices]):
                for each in devices:
                    await knows(each, len(devices))
                office.stick(tmp_path / "pocket").rename(floor.stick)
                await all_reach(devices, "waiting", within=60)
                net.unplug(cable)
                for each in first:
                    await on(each, "approve", "1")
                await all_reach([*first, later], "confirmed", within=120)

                async def alone() -> bool:
                    return {"cut-off", "wave"} <= await codes(cut)

                await until(alone, 60, "it says that it is cut off")
                assert await installations(cut) == []
                assert await phases([cut]) == ["waiting"]
                plugged = time.time()
                net.plug(cable)
                await all_reach([cut], "confirmed", within=120)
                [(began, _)] = await installations(cut)
                assert began > plugged


@needs_root
@pytest.mark.timeout(300)
async def test_production_windows_and_people_hold_a_device_back_and_it_is_ready_meanwhile(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path / "office", SIZE)
    publish(office, Rollout())
    lock = tmp_path / "production"
    lock.touch()
    opens = datetime.now().astimezone().replace(second=0, microsecond=0) + timedelta(minutes=2)
    window = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"
    site: dict[str, Json] = {
        "file": {"interlock_file": str(lock)},
        "command": {"interlock_command": ["test", "!", "-e", str(lock)]},
        "window": {"windows": [window]},
        "person": {"deferrals": 1, "deferral": "1h"},
    }
    with network() as net:
        async with fleet(net, office.anchor) as floor:
            seed = floor.seed(settings=settings())
            made = {
                name: floor.device(name, settings=settings(site=said, device={"consent": asks}))
                for name, said in site.items()
                for asks in [name == "person"]
            }
            async with powered([seed, *made.values()]):
                office.stick(tmp_path / "pocket").rename(floor.stick)
                await all_reach(list(made.values()), "waiting", within=60)
                await _held_back(made)
                lock.unlink()
                await all_reach([made["file"], made["command"]], "confirmed", within=60)
                assert await codes(made["window"]) == {"maintenance"}
                await all_reach([made["window"]], "confirmed", within=150)
                [(began, _)] = await installations(made["window"])
                late = began - opens.timestamp()
                print(f"installed {late:.1f} s after the window had opened")
                assert 0 <= late < SETTLE
                assert await installations(made["person"]) == []


async def _held_back(made: dict[str, Device]) -> None:
    """Everybody has the release complete, and says what it waits for."""
    person = made["person"]
    for each in made.values():
        [stored] = (await each.status() or {})["stored"]
        assert stored["verified"]
    assert await codes(made["file"]) == {"interlock"}
    assert await codes(made["command"]) == {"interlock"}
    assert await codes(made["window"]) == {"maintenance"}
    assert await codes(person) == {"consent"}
    await on(person, "defer")
    assert await codes(person) == {"consent", "deferred"}
    await on(person, "approve", "1")
    assert await codes(person) == {"deferred"}
    said = await on(person, "defer", expect=2)
    assert "site.deferrals allows 1" in said


@needs_root
@pytest.mark.timeout(240)
async def test_every_order_is_obeyed_and_shown_in_the_log_of_every_device(tmp_path: Path) -> None:
    office = Office(tmp_path / "office", SIZE)
    release = publish(office, Rollout(max_failures=200))
    boss = await operator(tmp_path / "operator", office.anchor)
    stranger = await operator(tmp_path / "stranger", office.anchor)
    common = settings(site={"operators": [boss.public]}, device={"consent": True})
    with network() as net:
        async with fleet(net, office.anchor) as floor:
            seed = floor.seed(settings=common)
            devices = of_stages(floor, release, *[1] * 5, common=common)
            retired = devices[-1]
            async with powered([seed, *devices]):
                for each in devices:
                    await knows(each, len(devices))
                office.stick(tmp_path / "pocket").rename(floor.stick)
                await all_reach(devices, "waiting", within=60)
                await stranger.orders(devices[0], "hold", "1", expect=14)
                await boss.orders(devices[0], "hold", "1")
                await boss.orders(devices[1], "retire", identity(retired))
                await boss.orders(devices[2], "seed-cap", "20M")
                await boss.orders(devices[3], "approve", "1")

                async def obeyed() -> bool:
                    found = [await codes(each) for each in devices]
                    return found == [{"hold"}] * 4 + [{"hold", "retired"}]

                await until(obeyed, 30, "every device obeys")
                await boss.orders(retired, "resume", "1")
                await all_reach(devices[:-1], "confirmed", within=60)
                assert await codes(retired) == {"retired"}
                about = f"{release.component} release 1"
                orders = [f"{kind} {about}" for kind in ("hold", "approve", "resume")]
                orders += [f"retire {identity(retired)}", "seed-cap 20971520 bytes/s"]
                for each in (seed, *devices):
                    taken = [e["order"] for e in await events(each) if e["event"] == "order.taken"]
                    assert sorted(taken) == sorted(orders)
                    for order in orders:
                        assert await logged(each, f'order.taken order="{order}"')
