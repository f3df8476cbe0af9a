"""Whether production is running, and what is done where nobody can say."""

from pathlib import Path

import pytest

from p2pupd.engine.interlocks import closed_interlocks
from p2pupd.engine.site_settings import SiteSettings
from p2pupd.errors import HostError
from p2pupd.host.inhibitors import parse_inhibitors

BUSCTL = '{"type":"a(ssssuu)","data":[[["%s","line","a batch runs","%s",0,1]]]}'


async def said(settings: SiteSettings) -> list[str]:
    return [gate.detail for gate in await closed_interlocks(settings)]


async def test_without_interlocks_nothing_is_closed() -> None:
    assert await said(SiteSettings()) == []


async def test_a_file_says_that_production_is_running(tmp_path: Path) -> None:
    settings = SiteSettings(interlock_file=tmp_path / "busy")
    assert await said(settings) == []
    (tmp_path / "busy").touch()
    assert await said(settings) == [f"production is running: {tmp_path}/busy exists"]


async def test_a_command_says_it_by_its_exit_code() -> None:
    assert await said(SiteSettings(interlock_command=("true",))) == []
    assert await said(SiteSettings(interlock_command=("false",))) == [
        "production is running: `false` ended with 1"
    ]


async def test_what_cannot_be_asked_is_closed() -> None:
    [gate] = await said(SiteSettings(interlock_command=("/no/such/program",)))
    assert gate.startswith("production may be running: cannot start")


async def test_a_block_on_shutdown_counts() -> None:
    async def held() -> list[str]:
        return ["line: a batch runs"]

    async def unknown() -> list[str]:
        raise HostError("no bus")

    settings = SiteSettings(interlock_inhibit=True)
    [gate] = await closed_interlocks(settings, held)
    assert gate.detail == "production is running, says line: a batch runs"
    [gate] = await closed_interlocks(settings, unknown)
    assert gate.detail == "production may be running: no bus"


def test_only_blocks_on_shutdown_count() -> None:
    assert parse_inhibitors(BUSCTL % ("sleep:shutdown", "block")) == ["line: a batch runs"]
    assert parse_inhibitors(BUSCTL % ("sleep", "block")) == []
    assert parse_inhibitors(BUSCTL % ("shutdown", "delay")) == []
    with pytest.raises(HostError, match="unknown form"):
        parse_inhibitors("{}")
