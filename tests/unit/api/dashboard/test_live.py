"""Pages that follow: only what has changed is sent, to readers that come, lag and come back."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

from p2pupd.api.dashboard.html import Html
from p2pupd.api.dashboard.live import BOOT, Live, Parts
from p2pupd.engine.tasks import Signal


class Source:
    """Parts that the test changes, and how often they were rendered."""

    def __init__(self, **parts: str) -> None:
        self.parts = parts
        self.keys: dict[str, object] = {}
        self.rendered = 0
        self.signal = Signal()

    async def render(self) -> Parts:
        self.rendered += 1
        return {name: (Html(text), self.keys.get(name)) for name, text in self.parts.items()}

    async def news(self) -> None:
        await self.signal.next()

    def change(self, **parts: str) -> None:
        self.parts |= parts
        self.signal.fire()


def _read(event: str) -> tuple[str, str, dict[str, Any]]:
    """(kind, version, parts)"""
    kind, version, data = event.strip().split("\n")
    return kind.split(": ")[1], version.split(": ")[1], json.loads(data.split(": ", 1)[1])


async def test_a_reader_gets_what_has_changed_since_its_page() -> None:
    source = Source(a="1", b="1")
    live = Live(source.render, source.news)
    version, parts = await live.now()
    assert parts == {"a": "1", "b": "1"}
    async with aclosing(live.follow(version)) as events, asyncio.timeout(5):
        source.change(b="2")
        assert _read(await anext(events))[2] == {"b": "2"}
        source.change(a="2")
        kind, later, parts_then = _read(await anext(events))
        assert (kind, parts_then) == ("parts", {"a": "2"})
    async with aclosing(live.follow(version)) as events, asyncio.timeout(5):
        assert _read(await anext(events)) == ("parts", later, {"a": "2", "b": "2"})


async def test_a_part_with_a_key_changes_with_its_key_only() -> None:
    source = Source(grid="1", tile="1")
    source.keys = {"grid": ("tile",)}
    live = Live(source.render, source.news)
    version, _ = await live.now()
    async with aclosing(live.follow(version)) as events, asyncio.timeout(5):
        source.change(grid="2", tile="2")
        assert _read(await anext(events))[2] == {"tile": "2"}
        source.keys = {"grid": ("tile", "other")}
        source.change(other="1")
        assert _read(await anext(events))[2] == {"grid": "2", "other": "1"}


async def test_versions_of_another_start_or_made_up_ones_are_stale() -> None:
    source = Source(a="1")
    live = Live(source.render, source.news)
    for since in ("", "nonsense", f"{BOOT}-2", f"{BOOT}-٣", f"{BOOT}--1", "00000000-1"):
        async with aclosing(live.follow(since)) as events:
            assert _read(await anext(events))[0] == "stale"


async def test_many_readers_share_one_rendering() -> None:
    source = Source(a="1")
    live = Live(source.render, source.news)
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(live.now())
    assert source.rendered == 1
