"""A line to a server far away, for a release whose content is known."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from p2pupd.errors import SourceGone
from p2pupd.feeds.allowance import Allowance
from p2pupd.feeds.http_client import HttpClient
from p2pupd.feeds.uplink_content import UplinkContent
from p2pupd.feeds.uplink_settings import UplinkSettings
from p2pupd.model.setting import Seconds
from tests.contents import payload
from tests.far_server import (
    Behaviour,
    Far,
    far,
)
from tests.sticks import released

CONTENT = payload(300_000)
RELEASE = released(CONTENT)
SETTINGS = UplinkSettings(stall_timeout=Seconds(5), retries=2)
HASTY = replace(SETTINGS, stall_timeout=Seconds(0.2), retries=0)


@dataclass
class Line:
    content: UplinkContent
    allowance: Allowance
    lost: list[SourceGone] = field(default_factory=list)


@asynccontextmanager
async def line(
    tmp_path: Path, url: str, settings: UplinkSettings = SETTINGS
) -> AsyncIterator[Line]:
    settings = replace(settings, url=url)
    allowance = Allowance(settings, tmp_path / "months.json")
    lost: list[SourceGone] = []
    async with HttpClient(settings, allowance) as client:
        yield Line(UplinkContent(client, settings, lost.append, lambda: 0.99), allowance, lost)


@asynccontextmanager
async def to(
    tmp_path: Path, *script: Behaviour, settings: UplinkSettings = SETTINGS
) -> AsyncIterator[tuple[Far, Line]]:
    async with far(*script) as server, line(tmp_path, server.url, settings) as there:
        yield server, there
