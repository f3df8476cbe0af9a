"""A real Chromium, and where what it shows is kept."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

CHROMIUM: Final = "chromium"
KEPT: Final = "SCREENSHOTS"
"""The environment names a directory for screenshots; without it they are thrown away."""
DESKTOP: Final = {"width": 1600, "height": 1000}
PHONE: Final = {"width": 390, "height": 844}

PAINTED: Final = """() => new Promise((done) => {
  const told = (list) => {
    const found = list.getEntriesByName("first-contentful-paint");
    if (found.length) done(found[0].startTime);
  };
  new PerformanceObserver(told).observe({ type: "paint", buffered: true });
})"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's, without a window."""
    program = shutil.which(CHROMIUM)
    assert program is not None
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=program, args=["--no-sandbox"], headless=True
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def window(browser: Browser, **how: Any) -> AsyncIterator[Page]:
    """A new one with cookies of its own, in which nothing may go wrong."""
    context = await browser.new_context(**({"viewport": DESKTOP} | how))
    page = await context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("console", lambda said: wrong.append(said.text) if _counts(said) else None)
    try:
        yield page
        assert wrong == []
    finally:
        await context.close()


def _counts(said: ConsoleMessage) -> bool:
    """Whether it is an error of the page; a device that is off is none."""
    return said.type == "error" and "net::ERR_" not in said.text


async def keep(page: Page, name: str, tmp_path: Path, *, whole: bool = False) -> None:
    """A screenshot of what is seen, or of the `whole` page."""
    directory = Path(os.environ.get(KEPT) or tmp_path / "screenshots")
    directory.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=directory / f"{name}.png", full_page=whole)


async def first_paint(page: Page, loads: int = 3) -> float:
    """Milliseconds until the first content, the least of so many loads: the machine has more to do
    than that."""
    return min([await _painted(page) for _ in range(loads)])


async def _painted(page: Page) -> float:
    await page.reload()
    painted: float = await page.evaluate(PAINTED)
    return painted
