"""When the wall clock may be believed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pupd.core.windows import LocalTime
from p2pupd.host.clock import Clock, kernel_synchronised, local_time
from p2pupd.host.settings import ClockSettings, ClockTrust
from p2pupd.model.clock import WallClock


@pytest.mark.parametrize(
    ("trust", "synchronised", "trusted"),
    [
        (ClockTrust.NEVER, True, False),
        (ClockTrust.SYNCHRONISED, True, True),
        (ClockTrust.SYNCHRONISED, False, False),
        (ClockTrust.ALWAYS, False, True),
    ],
)
def test_trust_is_what_the_settings_say(
    tmp_path: Path, trust: ClockTrust, synchronised: bool, trusted: bool
) -> None:
    settings = ClockSettings(trust, tmp_path / "none")
    clock = Clock(settings, now=lambda: 5.0, synchronised=lambda: synchronised)
    assert clock.read() == WallClock(5.0, trusted)


def test_an_operators_word_counts_while_it_stands(tmp_path: Path) -> None:
    word = tmp_path / "clock-trusted"
    clock = Clock(ClockSettings(word_file=word))
    assert not clock.read().trusted
    word.touch()
    assert clock.read().trusted
    word.unlink()
    assert not clock.read().trusted


def test_the_kernel_answers_the_same_twice() -> None:
    assert kernel_synchronised() is kernel_synchronised()


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nine hours ahead, without a change of the clocks."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_local_time_is_that_of_the_daemons_time_zone() -> None:
    assert local_time(0.0) == LocalTime(3, 9 * 60)
    assert local_time(15 * 3600.0) == LocalTime(4, 0)
