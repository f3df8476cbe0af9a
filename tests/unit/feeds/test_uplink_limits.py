"""The uplink within its hours and its bytes, and how that is told."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from p2pupd.model.setting import Bytes
from tests.serving import served
from tests.sticks import metadata, write_repository
from tests.support import eventually
from tests.uplink_rig import CONTENT, FIRST, SETTINGS, asked, following


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_repository(tmp_path / "shop", CONTENT)
    return tmp_path / "shop"


class Wall:
    """A wall clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def closed_hours(wall: Callable[[], float]) -> tuple[str, ...]:
    """One minute, two hours from now."""
    hour = (datetime.fromtimestamp(wall(), UTC).astimezone().hour + 2) % 24
    return (f"{hour:02}:00-{hour:02}:01",)


async def test_limits_change_without_a_restart(shop: Path, tmp_path: Path) -> None:
    wall = Wall()
    with served(shop) as server:
        async with following(tmp_path / "state", server.url, wall=wall) as rig:
            await eventually(lambda: rig.heard.offers)
            source = rig.feed.source
            rig.feed.apply(replace(SETTINGS, hours=closed_hours(wall)))
            await eventually(lambda: rig.heard.gone == [source])
            state = rig.state
            assert "outside of its hours" in state["error"]
            assert (state["hours_open"], state["available"], state["next"]) == (False, False, None)
            rig.feed.apply(replace(SETTINGS, monthly=Bytes(1)))
            await eventually(lambda: "used up" in rig.state["error"])
            await asked(server, FIRST)
            rig.feed.apply(SETTINGS)
            await eventually(lambda: len(rig.heard.offers) == 2)
            assert rig.state["error"] == ""
            assert rig.changes == [True, False, True]


async def test_the_line_opens_by_itself_when_its_hour_comes(shop: Path, tmp_path: Path) -> None:
    start = 1_800_000_059.0 - 1_800_000_000 % 60
    opens = datetime.fromtimestamp(start + 1, UTC).astimezone()
    settings = replace(SETTINGS, hours=(f"{opens:%H:%M}-{(opens.hour + 1) % 24:02}:{opens:%M}",))
    with served(shop) as server:
        began = time.monotonic()

        def wall() -> float:
            return start + time.monotonic() - began

        async with following(tmp_path / "state", server.url, settings, wall=wall) as rig:
            await eventually(lambda: rig.heard.offers)
            assert wall() >= start + 1
            assert rig.state["hours_open"]


async def test_the_months_count_outlives_a_restart(shop: Path, tmp_path: Path) -> None:
    used = sum(map(len, metadata().values()))
    settings = replace(SETTINGS, monthly=Bytes(used))
    with served(shop) as server:
        async with following(tmp_path / "state", server.url, settings) as rig:
            await eventually(lambda: rig.heard.gone)
            assert rig.feed.bytes_received == rig.state["month_bytes"] == used
        async with following(tmp_path / "state", server.url, settings) as rig:
            await eventually(lambda: "used up" in rig.state["error"])
            assert (rig.feed.bytes_received, rig.state["month_bytes"]) == (0, used)
        await asked(server, FIRST)
