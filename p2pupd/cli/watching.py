"""Pages that people look at: once, or kept current until Ctrl-C."""

import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from p2pupd.errors import UpdateError, UsageError

REFRESH_SECONDS = 0.5


def show(page: Callable[[], RenderableType], watch: bool) -> None:
    """Print the page, or go on printing it. Raises UsageError where that needs a terminal."""
    console = Console()
    if not watch:
        console.print(page())
        return
    if not console.is_terminal:
        raise UsageError("--watch needs a terminal; without one, ask again with --json")
    last, since = page(), time.time()
    with Live(last, console=console, auto_refresh=False) as live:
        while True:
            time.sleep(REFRESH_SECONDS)
            try:
                last, since = page(), time.time()
                live.update(last, refresh=True)
            except UpdateError as error:
                live.update(_stale(last, since, error), refresh=True)


def _stale(last: RenderableType, since: float, error: UpdateError) -> RenderableType:
    """The last picture, and why there is no newer one; it is asked for again all the time."""
    told = f"as of {time.strftime('%H:%M:%S', time.localtime(since))}, and still asking: {error}"
    return Group(last, Text(), Text(told, "yellow"))


def size(count: int) -> str:
    """Bytes for people: `1.5 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
