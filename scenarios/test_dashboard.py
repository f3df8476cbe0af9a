"""A floor of 32 devices during a rollout, as an operator sees it on any one of them."""

from collections import Counter
from pathlib import Path
from statistics import median
from typing import Final

import pytest
from playwright.async_api import Browser, Page

from p2pupd.demo.device import COMPONENT, HARDWARE, Device
from p2pupd.model.rollout import Rollout, Wave
from scenarios.lib.fleet import Json, events, fleet, knows, powered, until
from scenarios.lib.office import Office
from tests.browsing import PHONE, chromium, first_paint, keep, window
from tests.support import needs_tool

DEVICES: Final = 31
SIZE: Final = 16 << 20
PORT: Final = 8080
WAVES: Final = Rollout(waves=(Wave(250), Wave(500), Wave(1000)), max_failures=500)
QUICK: Final[dict[str, Json]] = {
    "health": {"interval": 0.5, "successes": 2, "settle": 1.0, "deadline": 30},
    "fleet": {"interval": 1.0, "pace": 0.1},
    "site": {"settle": 5},
}
NOTE = """() => {
  window.confirmed = {};
  const before = {};
  const look = () => document.querySelectorAll(".tile").forEach((tile) => {
    const now = tile.classList.contains("s-current");
    if (now && before[tile.id] === false) window.confirmed[tile.id] = Date.now() / 1000;
    before[tile.id] = now;
  });
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  look();
}"""
"""Notes when each tile came to say that its device is up to date."""


async def _lateness(page: Page, device: Device) -> float | None:
    """Seconds by which its tile was late; None while it is not confirmed."""
    status = await device.status()
    told = [each for each in await events(device) if each["event"] == "deployment.confirmed"]
    if status is None or not told:
        return None
    seen: float | None = await page.evaluate("id => window.confirmed[id]", f"d-{status['device']}")
    return None if seen is None else seen - told[0]["at"]


async def _all_late(page: Page, devices: list[Device]) -> list[float]:
    """Of all devices, once each was seen; nothing before."""
    found = [await _lateness(page, each) for each in devices]
    return [each for each in found if each is not None] if None not in found else []


@needs_tool("chromium")
@pytest.mark.timeout(500)
async def test_thirty_two_devices_are_followed_through_a_rollout(tmp_path: Path) -> None:
    office = Office(tmp_path / "office", SIZE)
    office.add(1, size=SIZE, component=COMPONENT, hardware_ids=(HARDWARE,), rollout=WAVES)
    async with fleet(None, office.anchor) as floor:
        seed = floor.seed(settings=QUICK)
        shows = {"dashboard": {"listen": f"{seed.address}:{PORT}"}}
        seed.settings = {**seed.settings, **shows}
        seed.prepare()
        peers = [
            floor.device(f"d{number}", settings=QUICK | _place(number), healthy=number > 0)
            for number in range(DEVICES)
        ]
        async with powered([seed, *peers]), chromium() as browser, window(browser) as page:
            for each in peers:
                await knows(each, DEVICES, within=180)
            await page.goto(f"http://{seed.address}:{PORT}/")
            await page.locator(".tile").nth(DEVICES).wait_for()
            assert await page.locator(".tile").count() == DEVICES + 1
            await page.evaluate(NOTE)
            office.stick(tmp_path / "pocket").rename(floor.stick)
            await _followed(browser, page, peers, tmp_path)


def _place(number: int) -> dict[str, Json]:
    """Where a device stands."""
    where = {"groups": [f"hall-{1 + number % 4}"], "model": f"Gateway {1 + number % 3}"}
    return {"fleet": {**QUICK["fleet"], **where}}


async def _followed(browser: Browser, page: Page, peers: list[Device], kept: Path) -> None:
    async def midway() -> bool:
        kinds = "[...document.querySelectorAll('.tile')].map((tile) => tile.className)"
        found = Counter(await page.evaluate(kinds))
        return len(found) > 3 and 8 <= found["tile s-current"] < DEVICES - 4

    await until(midway, 240, "devices in different phases")
    await keep(page, "rollout-32", kept, whole=True)
    async with window(browser, viewport=PHONE, color_scheme="dark") as phone:
        await phone.goto(page.url)
        await keep(phone, "rollout-32-phone", kept, whole=True)
    late = await until(lambda: _all_late(page, peers[1:]), 240, "all are confirmed")
    await page.get_by_text("went back to the old release").wait_for(timeout=60_000)
    await keep(page, "rollout-32-done", kept, whole=True)
    print(f"tiles late by {median(late):.2f} s, at most {max(late):.2f} s")
    print(f"first contentful paint after {await first_paint(page):.0f} ms")
