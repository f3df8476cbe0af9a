"""The dashboard in a real browser: quick, live, safe, and for everybody."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from p2pupd.model.deployment import Phase
from p2pupd.model.fleet import Update
from scenarios.lib.fleet import on
from scenarios.lib.office import today
from tests.browsing import PHONE, chromium, first_paint, keep, window
from tests.crowds import OS, Shown, an_office, kept, realm_of, showing
from tests.saying import device
from tests.support import needs_tool

pytestmark = [needs_tool("chromium"), pytest.mark.timeout(240)]

PAINT = 1000
"""Milliseconds within which there is something to see."""
EVIL = "<script>window.evil=1</script>"
PICTURE = "<img src=x onerror=window.evil=1>"
WATCH = """(what) => new Promise((done) => {
  const look = () => {
    if (document.body.innerText.includes(what)) { watcher.disconnect(); done(Date.now() / 1000); }
  };
  const watcher = new MutationObserver(look);
  watcher.observe(document.body, { childList: true, subtree: true, characterData: true });
  look();
})"""
"""When something came to be seen, in Unix seconds."""


async def _fits(page: Page) -> bool:
    """Whether nothing sticks out to the right."""
    fits: bool = await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    return fits


async def test_a_floor_is_seen_at_once_on_a_desk_and_on_a_phone(tmp_path: Path) -> None:
    async with showing(tmp_path, 31) as shown, chromium() as browser:
        async with window(browser) as page:
            await page.goto(shown.url)
            await page.goto(f"{shown.url}/log")
            await page.goto(shown.url)
            assert await first_paint(page) < PAINT
            assert await page.locator(".tile").count() == 32
            await keep(page, "floor-32-light", tmp_path, whole=True)
        for scheme, path, name in (
            ("dark", "/", "floor"),
            ("light", f"/device/{device(3).id}", "device"),
            ("light", "/log", "events"),
        ):
            how = {"viewport": PHONE, "color_scheme": scheme, "has_touch": True}
            async with window(browser, **how) as page:
                await page.goto(shown.url + path)
                await page.wait_for_load_state()
                assert await first_paint(page) < PAINT
                assert await _fits(page)
                await keep(page, f"phone-{name}", tmp_path, whole=True)
        async with window(browser, color_scheme="dark") as page:
            await page.goto(f"{shown.url}/?show=failed")
            assert await page.locator(".tile:visible").count() == 2
            await keep(page, "floor-32-failed", tmp_path)


async def test_a_thousand_devices_are_still_one_page(tmp_path: Path) -> None:
    async with showing(tmp_path, 999) as shown, chromium() as browser:
        for name, how in (("desk", {}), ("phone", {"viewport": PHONE})):
            async with window(browser, color_scheme="dark", **how) as page:
                await page.goto(shown.url)
                assert await first_paint(page) < 2 * PAINT
                assert await page.locator(".tile").count() == 1000
                assert await _fits(page)
                await keep(page, f"floor-1000-{name}", tmp_path)


async def test_what_happens_is_seen_within_a_second(tmp_path: Path) -> None:
    async with showing(tmp_path, 31) as shown, chromium() as browser, window(browser) as page:
        await page.goto(shown.url)
        await page.get_by_text("● live").wait_for()
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            seen = group.create_task(page.evaluate(WATCH, "operator.paused"))
            await on(shown.device, "pause")
        line = (await shown.device.ask("/v1/history?limit=1000"))[-1]
        late = seen.result() - line["at"]
        print(f"seen {late:.2f} s after the event")
        assert late < 1.0
        await shown.device.stop()
        await page.get_by_text("○ no answer").wait_for()
        await page.get_by_text("● live").wait_for()


async def test_a_page_is_read_without_scripts(tmp_path: Path) -> None:
    off = {"java_script_enabled": False}
    async with (
        showing(tmp_path, 5) as shown,
        chromium() as browser,
        window(browser, **off) as page,
    ):
        await page.goto(shown.url)
        assert await page.locator(".tile").count() == 6
        await page.get_by_role("link", name="Events", exact=True).click()
        assert "manifest.accepted" in await page.locator("main").inner_text()
        assert await page.locator("meta[http-equiv=refresh]").count() == 1


async def test_what_a_device_calls_itself_runs_nowhere(tmp_path: Path) -> None:
    office = an_office(tmp_path)
    why = Update(OS, "1.2", 2, Phase.REVERTED, today(), "unhealthy", PICTURE)
    said = kept(
        77,
        today(),
        realm=realm_of(office, tmp_path),
        model=EVIL,
        groups=(PICTURE,),
        history=(why,),
    )
    async with (
        showing(tmp_path, 3, said, office=office) as shown,
        chromium() as browser,
        window(browser) as page,
    ):
        for path in ("/", f"/device/{device(77).id}"):
            await page.goto(shown.url + path)
            await page.get_by_text("● live").wait_for()
            await on(shown.device, "check")
            assert await page.get_by_text("<script>").count() > 0
            assert await page.evaluate("window.evil") is None
            assert await page.locator("img").count() == 0


async def test_a_keyboard_is_enough_and_readers_are_told(tmp_path: Path) -> None:
    async with showing(tmp_path, 5) as shown, chromium() as browser, window(browser) as page:
        await page.goto(shown.url)
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "To the content"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        tile = page.get_by_role("list", name="Devices", exact=True).get_by_role("link").first
        label = await tile.get_attribute("aria-label")
        assert label is not None
        await tile.focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/device/**")
        await page.goto(shown.url)
        assert await page.get_by_role("status").count() == 1
        for each in await page.locator(".tile").all():
            said = (await each.inner_text()).split()
            assert len(said[0]) == 1, "a sign comes first"
            assert said[1].isalpha(), "and a word"


async def _sign_in(page: Page, shown: Shown) -> None:
    await page.goto(f"{shown.url}/operate")
    await page.get_by_label("Control token").fill(shown.token)
    await page.get_by_role("button", name="Sign in").click()


async def test_an_operator_acts_and_another_site_does_not(tmp_path: Path) -> None:
    async with showing(tmp_path, 5) as shown, chromium() as browser, window(browser) as page:
        await _sign_in(page, shown)
        await page.get_by_role("button", name="Pause transfer").click()
        assert "payload is paused" in await page.get_by_role("status").inner_text()
        await keep(page, "operate", tmp_path, whole=True)
        await page.get_by_role("button", name="Resume transfer").click()
        assert "payload moves again" in await page.get_by_role("status").inner_text()
        await _from_another_site(browser, page, shown)
        await page.goto(f"{shown.url}/operate")
        await page.get_by_role("button", name="Sign out").click()
        await page.goto(f"{shown.url}/operate")
        assert await page.get_by_label("Control token").count() == 1


async def _from_another_site(browser: Browser, page: Page, shown: Shown) -> None:
    """Its form is sent by the browser that is signed in here."""
    elsewhere = await page.context.new_page()
    await elsewhere.goto("data:text/html,<form method=post></form>")
    form = f"const f = document.forms[0]; f.action = '{shown.url}/act/pause'; f.submit()"
    async with elsewhere.expect_navigation() as answer:
        await elsewhere.evaluate(form)
    came = await answer.value
    assert came is not None
    assert came.status == 403
    status = await shown.device.status()
    assert status is not None
    assert status["limits"]["moving"] is True
    await elsewhere.close()
