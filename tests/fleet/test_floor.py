"""What real daemons know of each other: the whole floor, the silent ones, and nothing made up."""

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from p2pupd.demo.device import COMPONENT, Device
from p2pupd.model.ids import Realm
from p2pupd.trust.records import sign
from p2pupd.wire import sync
from p2pupd.wire.sync import Ask, Item, decode_answer
from scenarios.lib.accounts import scraped
from scenarios.lib.fleet import Fleet, Json, all_reach, events, fleet, on, p2pupd, powered, until
from scenarios.lib.office import Office
from tests.saying import NOW, a_status, device

SIZE = 256 * 1024
QUICK: dict[str, Json] = {
    "health": {"interval": 0.05, "successes": 1, "settle": 0.0},
    "fleet": {"interval": 0.3, "pace": 0.1, "groups": ["canary"], "model": "Demo [red]board"},
    "discovery": {"check_interval": 1, "lost_after": 1},
}


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "office", SIZE)
    made.release(1)
    return made


@pytest.fixture
async def floor(office: Office) -> AsyncIterator[Fleet]:
    async with fleet(None, office.anchor) as made:
        yield made


async def _view(asked: Device) -> dict[str, Json]:
    """{address: what is known of the device there}."""
    found: list[Json] = await asked.ask("/v1/fleet") or []
    return {each["links"][0]["address"] if each["links"] else each["id"]: each for each in found}


async def _knows(asked: Device, count: int) -> None:
    async def enough() -> bool:
        return len(await _view(asked)) == count

    await until(enough, 20, f"{asked.name} knows {count} devices")


async def test_every_device_shows_what_every_other_runs_and_that_the_stick_may_go(
    office: Office, floor: Fleet, tmp_path: Path
) -> None:
    seed = floor.seed(settings=QUICK)
    devices = [floor.device(name, settings=QUICK) for name in ("one", "two")]
    async with powered([seed, *devices]):
        await _knows(devices[0], 3)
        office.stick(tmp_path / "pocket").rename(floor.stick)
        await all_reach(devices, "confirmed", within=60)

        async def told() -> bool:
            views = [await _view(each) for each in (seed, *devices)]
            return all(_confirmed(view[each.address]) for view in views for each in devices)

        await until(told, 20, "everybody knows of every success")
        view = await _view(seed)
        assert view[devices[0].address]["groups"] == ["canary"]
        assert view[devices[0].address]["bytes"]["lan"] == SIZE
        assert view[devices[0].address]["standing"] == "first-use"
        assert view[seed.address]["state"] == "here"
        page = await on(seed, "fleet")
        assert "[red]" in page.replace("│", "").replace("\n", "").replace(" ", "")
        assert "3 device(s), 0 silent" in page
        assert "you may remove the stick now" in await on(devices[0], "status")

        async def complete() -> bool:
            return "site.complete" in {each["event"] for each in await events(seed)}

        await until(complete, 5, "the seed tells that the stick may go")
        figures = await scraped(seed, "socket")
        assert figures["p2pupd_fleet_devices", "here"] == 1

        await until(partial(_is_home, floor.stick), 60, "the stick brings results and logs home")
        shown = await p2pupd("repo", "show", "--results", str(floor.stick))
        assert "logs of 3 of 3 device(s)" in shown
        assert "demo-os 1.1" in await p2pupd("repo", "show", str(floor.stick))


async def _is_home(stick: Path) -> bool:
    """The stick brings home that both devices succeeded, and the logs of all three."""
    found = json.loads(await p2pupd("repo", "show", "--results", "--json", str(stick)))
    [devices], [logs] = found["floors"].values(), found["logs"].values()
    done = [each["id"] for each in devices if _confirmed(each)]
    told = {line["event"] for each in done for line in logs[each]["lines"]}
    return len(done) == 2 and len(logs) == 3 and "deployment.confirmed" in told


def _confirmed(known: Json) -> bool:
    installed = [{"component": COMPONENT, "version": "1.1", "release": 1}]
    return bool(known["history"]) and known["components"] == installed


async def test_a_device_that_is_switched_off_shows_as_silent_and_is_not_forgotten(
    floor: Fleet,
) -> None:
    stays, leaves = (floor.device(name, settings=QUICK) for name in ("stays", "leaves"))

    async def silent() -> bool:
        return bool((await _view(stays))[leaves.address]["state"] == "silent")

    async with powered([stays]):
        async with powered([leaves]):
            await _knows(stays, 2)
        await until(silent, 20, "silent")
        assert "1 silent" in await on(stays, "fleet")
    async with powered([stays]):
        await _knows(stays, 2)
        assert await silent()
        assert (await on(stays, "status")).count("1 silent") == 1


async def test_a_device_restored_from_an_old_backup_is_heard_again(floor: Fleet) -> None:
    stays, restored = (floor.device(name, settings=QUICK) for name in ("stays", "restored"))

    def call(model: str) -> None:
        restored.settings = QUICK | {"fleet": {**QUICK["fleet"], "model": model}}
        restored.prepare()

    async def heard(model: str) -> bool:
        known = (await _view(stays)).get(restored.address)
        return known is not None and bool(known["model"] == model)

    async with powered([stays]):
        for model in ("new", "renamed"):
            call(model)
            async with powered([restored]):
                await until(partial(heard, model), 20, f"record of the {model} device")
        for each in restored.directory.glob("journal.sqlite*"):
            each.unlink()
        shutil.rmtree(restored.directory / "store", ignore_errors=True)
        call("restored")
        async with powered([restored]):
            await until(lambda: heard("restored"), 20, "record of the restored device")
        assert (await _view(stays))[restored.address]["epoch"] == 1


async def test_what_somebody_made_up_or_replays_does_not_count(floor: Fleet) -> None:
    target = floor.device("target", settings=QUICK)
    async with powered([target]):
        await _knows(target, 1)
        status = await target.status()
        assert status is not None
        realm = Realm(status["realm"])
        good = sign(a_status(7, realm=realm, sequence=2, at=0), device(7))
        old = sign(a_status(7, realm=realm, sequence=1, at=0), device(7))
        late = sign(a_status(8, realm=realm, at=NOW * 2), device(8))
        forged = good[:-1] + bytes([good[-1] ^ 1])
        items = tuple(Item(each, 0) for each in (good, old, late, forged))
        async with aiohttp.ClientSession() as session:
            url = f"http://{target.address}:7830/peer/v1/sync"
            ask = Ask(realm, "", b"\0" * 8, items)
            async with session.post(url, data=ask.encode()) as answer:
                assert answer.status == 200
                assert decode_answer(await answer.read()).listed
            wrong = (
                replace(ask, realm=Realm("f" * 16)).encode(),
                b"garbage",
            )
            for body in wrong:
                async with session.post(url, data=body) as answer:
                    assert answer.status == 400
            async with session.post(url, data=b"\0" * (sync.MAX_BYTES + 1)) as answer:
                assert answer.status == 413
        assert set(await _view(target)) == {target.address, device(7).id}
        figures = await scraped(target, "socket")
        for reason in ("forged", "replayed", "future-dated", "other-realm"):
            assert figures["p2pupd_fleet_dropped_total", reason] == 1
