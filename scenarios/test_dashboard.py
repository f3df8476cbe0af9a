"""A floor of 32 devices during a rollout, as an operator sees it on any one of them."""

import asyncio
from pathlib import Path
from statistics import median
from typing import Final

import pytest
from playwright.async_api import Page

from p2pupd.demo.device import Device
from p2pupd.demo.floor import Floor
from scenarios.lib.fleet import events, powered, until
from tests.browsing import PHONE, chromium, first_paint, keep, window
from tests.support import needs_tool

DEVICES: Final = 31
SIZE: Final = 24 << 20
WITHIN: Final = 1.0
"""Seconds from an event on a device to its tile on another one's page."""
PAINT: Final = 1000
"""Milliseconds from the click to the first content."""
NOTE = """() => {
  window.confirmed = {};
  const look = () => document.querySelectorAll(".tile.s-current").forEach((tile) => {
    window.confirmed[tile.id] ??= Date.now() / 1000;
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
    floor = Floor(tmp_path / "f", DEVICES, SIZE, print)
    floor.directory.mkdir()
    await floor.publish()
    await asyncio.to_thread(floor.prepare)
    async with powered(floor.everyone), chromium() as browser, window(browser) as page:

        async def acquainted() -> bool:
            return floor.acquainted(await floor.statuses())

        async def midway() -> bool:
            kinds = "new Set([...document.querySelectorAll('.tile')].map(t => t.className)).size"
            return int(await page.evaluate(kinds)) >= 5

        await until(acquainted, 180, "all know each other")
        await page.goto(floor.dashboard)
        assert await first_paint(page) < PAINT
        assert await page.locator(".tile").count() == DEVICES + 1
        await page.evaluate(NOTE)
        floor.plug_in()
        await until(midway, 120, "devices in different phases")
        await keep(page, "rollout-32", tmp_path, whole=True)
        how = {"viewport": PHONE, "color_scheme": "dark"}
        async with window(browser, **how) as phone:
            await phone.goto(floor.dashboard)
            await keep(phone, "rollout-32-phone", tmp_path, whole=True)
        late = await until(lambda: _all_late(page, floor.peers[:-1]), 300, "all are confirmed")
        await page.get_by_text("went back to the old release").wait_for(timeout=60_000)
        await keep(page, "rollout-32-done", tmp_path, whole=True)
        print(f"tiles late by {median(late):.2f} s, at most {max(late):.2f} s")
        assert median(late) < WITHIN
