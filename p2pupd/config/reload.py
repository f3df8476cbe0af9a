"""Read the configuration again while the daemon runs: apply what can change, name what cannot."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import fields, replace
from typing import Any

from p2pupd.config.load import Config
from p2pupd.config.schema import Settings
from p2pupd.errors import UpdateError

log = logging.getLogger(__name__)


class Reloader:
    """`live` lists (section, keys, apply): `apply` takes the section's new settings at once, of
    which only those `keys` count; without keys, all of them do."""

    def __init__(self, running: Config) -> None:
        self._load = running.again
        self._running: dict[str, Any] = _sections(running.settings)
        self.live: list[tuple[str, tuple[str, ...], Callable[[Any], None]]] = []
        self.wanted = asyncio.Event()

    async def run(self) -> None:
        """Reload whenever `wanted` is set (SIGHUP); a mistake is logged and changes nothing."""
        while True:
            await self.wanted.wait()
            self.wanted.clear()
            try:
                await self.reload()
            except UpdateError as error:
                log.error("config.not-reloaded error=%s", error)

    async def reload(self) -> str:
        """What was applied and what needs a restart, a line each.

        Raises ConfigError with every mistake; then nothing has changed. Nor has it when a section
        cannot be applied: those before it are as they were, and its error comes out.
        """
        wanted = await asyncio.to_thread(self._read)
        applied = self._apply(wanted)
        waiting = [
            key for name, has in self._running.items() for key in _changed(name, has, wanted[name])
        ]
        log.info("config.reloaded applied=%s waiting=%s", ",".join(applied), ",".join(waiting))
        said = [f"applied: {', '.join(applied)}"] if applied else []
        said += [f"needs a restart: {', '.join(waiting)}"] if waiting else []
        return "\n".join(said) or "nothing has changed"

    def _apply(self, wanted: dict[str, Any]) -> list[str]:
        """Every live section, or none. The keys that have changed."""
        running, applied = dict(self._running), list[str]()
        with ExitStack() as back:
            for section, keys, apply in self.live:
                before, new = running[section], wanted[section]
                only = {key: getattr(new, key) for key in keys}
                after = replace(before, **only) if keys else new
                changed = list(_changed(section, before, after))
                if changed:
                    back.callback(apply, before)
                    apply(after)
                    running[section] = after
                    applied += changed
            back.pop_all()
        self._running = running
        return applied

    def _read(self) -> dict[str, Any]:
        config = self._load()
        log.debug("config.read socket=%s", config.control_socket)
        return _sections(config.settings)


def _sections(settings: Settings) -> dict[str, Any]:
    return {each.name: getattr(settings, each.name) for each in fields(settings)}


def _changed(section: str, before: Any, after: Any) -> Iterator[str]:
    for each in fields(before):
        if getattr(before, each.name) != getattr(after, each.name):
            yield f"{section}.{each.name}"
