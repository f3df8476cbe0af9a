"""Whether production is running: a file, a command, or a block on shutdown says so."""

import asyncio
from collections.abc import Awaitable, Callable

from p2pupd.core.turn import Gate
from p2pupd.engine.site_settings import SiteSettings
from p2pupd.errors import HostError
from p2pupd.host.inhibitors import shutdown_blocks
from p2pupd.host.processes import run
from p2pupd.model.setting import NO_PATH

REASON = "interlock"
COMMAND_SECONDS = 30.0


async def closed_interlocks(
    settings: SiteSettings, blocks: Callable[[], Awaitable[list[str]]] = shutdown_blocks
) -> tuple[Gate, ...]:
    """Those that are closed now. One that cannot be asked is closed. Never raises."""
    found = [await _file(settings), await _command(settings), await _inhibited(settings, blocks)]
    return tuple(Gate(REASON, said) for said in found if said)


async def _file(settings: SiteSettings) -> str:
    path = settings.interlock_file
    if path == NO_PATH or not await asyncio.to_thread(path.exists):
        return ""
    return f"production is running: {path} exists"


async def _command(settings: SiteSettings) -> str:
    if not settings.interlock_command:
        return ""
    try:
        finished = await run(settings.interlock_command, timeout=COMMAND_SECONDS)
    except HostError as error:
        return f"production may be running: {error}"
    return f"production is running: {finished.summary}" if finished.code else ""


async def _inhibited(settings: SiteSettings, blocks: Callable[[], Awaitable[list[str]]]) -> str:
    if not settings.interlock_inhibit:
        return ""
    try:
        held = await blocks()
    except HostError as error:
        return f"production may be running: {error}"
    return f"production is running, says {held[0]}" if held else ""
