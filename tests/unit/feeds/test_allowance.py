"""Hours, rate and the month's bytes, with clocks that the test turns."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from p2pupd.errors import SourceGone
from p2pupd.feeds.allowance import MONTHS, SAVE_BYTES, SAVE_SECONDS, Allowance
from p2pupd.feeds.uplink_settings import UplinkSettings
from p2pupd.model.setting import Bytes

PLAIN = UplinkSettings(url="http://127.0.0.1/")
KIB = 1024


class Clock:
    """Wall and monotonic clock in one."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def set(self, text: str) -> None:
        self.now = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.set("2026-11-24T12:00:00")
    return made


def an_allowance(tmp_path: Path, clock: Clock, settings: UplinkSettings = PLAIN) -> Allowance:
    made = Allowance(settings, tmp_path / "months.json", wall=clock, clock=clock)
    made.load()
    return made


async def test_without_limits_nothing_is_ever_closed(tmp_path: Path, clock: Clock) -> None:
    allowance = an_allowance(tmp_path, clock)
    await allowance.spend(KIB)
    allowance.check()
    assert allowance.bytes_received == allowance.month_bytes == KIB
    assert allowance.next_change() is None
    assert allowance.time_for(KIB) == 0


@pytest.mark.parametrize(
    ("at", "open_now", "change"),
    [
        ("21:59:30", False, 30),
        ("22:00:00", True, 3600),
        ("23:30:00", True, 3600),
        ("04:59:59", True, 1),
        ("05:00:00", False, 3600),
        ("12:10:00", True, 1200),
        ("12:30:00", False, 3600),
    ],
)
async def test_a_window_may_reach_over_midnight(
    tmp_path: Path, clock: Clock, at: str, open_now: bool, change: float
) -> None:
    hours = ("22:00-05:00", "12:00-12:30")
    allowance = an_allowance(tmp_path, clock, replace(PLAIN, hours=hours))
    clock.set(f"2026-11-24T{at}")
    assert allowance.hours_open is open_now
    assert allowance.next_change() == change
    if not open_now:
        with pytest.raises(SourceGone, match="outside of its hours: 22:00-05:00, 12:00-12:30"):
            allowance.check()


async def test_hours_are_those_of_the_place(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowance = an_allowance(tmp_path, clock, replace(PLAIN, hours=("14:00-15:00",)))
    assert not allowance.hours_open
    monkeypatch.setenv("TZ", "EAT-3")
    time.tzset()
    clock.set("2026-11-24T11:30:00")
    assert allowance.hours_open


async def test_the_months_bytes_close_the_line_until_the_next_month(
    tmp_path: Path, clock: Clock
) -> None:
    allowance = an_allowance(tmp_path, clock, replace(PLAIN, monthly=Bytes(2 * KIB)))
    clock.set("2026-11-30T23:59:00")
    await allowance.spend(KIB)
    allowance.check()
    await allowance.spend(KIB)
    with pytest.raises(SourceGone, match="2048 bytes of 2026-11 are used up"):
        allowance.check()
    assert allowance.next_change() == 60
    clock.set("2026-12-01T00:00:00")
    allowance.check()
    assert allowance.month_bytes == 0


async def test_a_restart_keeps_the_months_count(tmp_path: Path, clock: Clock) -> None:
    allowance = an_allowance(tmp_path, clock)
    await allowance.spend(5)
    await allowance.save()
    again = an_allowance(tmp_path, clock)
    assert (again.month_bytes, again.bytes_received) == (5, 0)


async def test_a_crash_forgets_little(tmp_path: Path, clock: Clock) -> None:
    allowance = an_allowance(tmp_path, clock)
    await allowance.spend(SAVE_BYTES - 1)
    assert an_allowance(tmp_path, clock).month_bytes == 0
    await allowance.spend(1)
    assert an_allowance(tmp_path, clock).month_bytes == SAVE_BYTES
    clock.now += SAVE_SECONDS
    await allowance.spend(1)
    assert an_allowance(tmp_path, clock).month_bytes == SAVE_BYTES + 1


async def test_a_clock_that_is_wrong_for_a_while_loses_no_count(
    tmp_path: Path, clock: Clock
) -> None:
    allowance = an_allowance(tmp_path, clock)
    await allowance.spend(7)
    for wrong in ("1970-01-01T00:00:00", "2099-01-01T00:00:00"):
        clock.set(wrong)
        assert allowance.month_bytes == 0
        await allowance.spend(1)
    clock.set("2026-11-24T13:00:00")
    assert allowance.month_bytes == 7


async def test_only_the_last_months_are_kept(tmp_path: Path, clock: Clock) -> None:
    allowance = an_allowance(tmp_path, clock)
    for month in range(1, 9):
        clock.set(f"2026-{month:02}-01T00:00:00")
        await allowance.spend(month)
    await allowance.save()
    kept = json.loads((tmp_path / "months.json").read_bytes())
    assert kept == {f"2026-{month:02}": month for month in range(9 - MONTHS, 9)}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"2026-11": "x"}', b"{" * 5000])
async def test_a_damaged_count_is_begun_anew(tmp_path: Path, clock: Clock, content: bytes) -> None:
    (tmp_path / "months.json").write_bytes(content)
    allowance = an_allowance(tmp_path, clock)
    await allowance.spend(3)
    await allowance.save()
    assert an_allowance(tmp_path, clock).month_bytes == 3


async def test_a_disk_that_refuses_stops_nothing(tmp_path: Path, clock: Clock) -> None:
    os.mkdir(tmp_path / "months.json")
    allowance = Allowance(PLAIN, tmp_path / "months.json", wall=clock, clock=clock)
    await allowance.spend(SAVE_BYTES)
    assert allowance.month_bytes == SAVE_BYTES


async def test_the_rate_is_kept_and_can_be_changed_at_any_time(tmp_path: Path) -> None:
    slow = replace(PLAIN, rate=Bytes(256 * KIB))
    allowance = Allowance(slow, tmp_path / "months.json")
    began = time.monotonic()
    for _ in range(7):
        await allowance.spend(64 * KIB)
    took = time.monotonic() - began
    assert 0.7 <= took < 5, "one second's worth at once, the other 192 KiB at 256 KiB/s"
    assert allowance.time_for(512 * KIB) == 2
    allowance.apply(PLAIN)
    assert allowance.time_for(512 * KIB) == 0
    began = time.monotonic()
    for _ in range(200):
        await allowance.spend(64 * KIB)
    assert time.monotonic() - began < 5
