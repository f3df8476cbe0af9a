"""When the wall clock may be believed."""

from pathlib import Path

import pytest

from p2pupd.host.clock import Clock, kernel_synchronised
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
