"""An uplink feed with a listener, and what it asks a served repository for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from p2pupd.feeds.tuf_http import UplinkFeed
from p2pupd.feeds.uplink_settings import UplinkSettings
from p2pupd.model.setting import Seconds
from p2pupd.trust.settings import TrustSettings
from p2pupd.wire import bundle as wire
from tests.contents import payload
from tests.serving import Served
from tests.sticks import Heard
from tests.support import eventually, running

LIMITS = TrustSettings()
SETTINGS = UplinkSettings(interval=Seconds(3600), stall_timeout=Seconds(5), retries=0)
CONTENT = payload(100_000)
NEWS = ["GET /metadata/timestamp.json 200"]
NO_NEWS = ["GET /metadata/timestamp.json 304"]


@dataclass
class Rig:
    """A feed, what it was heard to say, and the `available` of each change."""

    feed: UplinkFeed
    heard: Heard = field(default_factory=Heard)
    changes: list[bool] = field(default_factory=list)

    @property
    def state(self) -> dict[str, Any]:
        state = self.feed.state()
        assert state is not None
        return state

    @property
    def bundles(self) -> list[dict[str, bytes]]:
        return [dict(wire.decode(offer.bundle).files) for offer in self.heard.offers]


def a_rig(state: Path, url: str, settings: UplinkSettings = SETTINGS, **others: Any) -> Rig:
    state.mkdir(exist_ok=True)
    changes: list[bool] = []
    feed = UplinkFeed(
        replace(settings, url=url),
        LIMITS,
        state,
        on_change=lambda: changes.append(feed.available),
        chance=lambda: 0.99,
        **others,
    )
    return Rig(feed, changes=changes)


@asynccontextmanager
async def following(
    state: Path, url: str, settings: UplinkSettings = SETTINGS, **others: Any
) -> AsyncIterator[Rig]:
    rig = a_rig(state, url, settings, **others)
    async with running(rig.feed.run(rig.heard)):
        yield rig


async def asked(server: Served, *rows: list[str]) -> None:
    """These are all requests so far."""
    wanted = [each for row in rows for each in row]
    await eventually(lambda: len(server.requests()) >= len(wanted))
    assert server.requests() == wanted


def everything(*roots: str, version: int = 1) -> list[str]:
    """Requests that bring what the timestamp names."""
    there = [f"GET /metadata/{name} 200" for name in roots]
    below = ("snapshot", "targets")
    files = [f"{version}.{below[0]}.json", "3.gateway.json", f"{version}.{below[1]}.json"]
    return there + [f"GET /metadata/{name} 200" for name in files]


FIRST = [*NEWS, "GET /metadata/1.root.json 200", "GET /metadata/2.root.json 404", *everything()]
