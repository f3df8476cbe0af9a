"""How the dashboard says things."""

import pytest

from p2pupd.api.dashboard.words import (
    SIGNS,
    count,
    grouped,
    lasting,
    moment,
    percent,
    size,
    stamp,
)
from p2pupd.core.showing import Shown


def test_every_state_has_a_sign_and_a_word_of_its_own() -> None:
    assert set(SIGNS) == set(Shown)
    assert len({sign for sign, _ in SIGNS.values()}) == len(SIGNS)
    assert len({word for _, word in SIGNS.values()}) == len(SIGNS)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "5 s"), (21, "20 s"), (58, "1 min"), (400, "7 min"), (9000, "2 h"), (200_000, "2 days")],
)
def test_how_long_is_said_coarsely(seconds: float, said: str) -> None:
    assert lasting(seconds) == said


def test_sizes_shares_and_numbers_are_for_people() -> None:
    assert [size(each) for each in (7, 3 << 20, 5 << 40)] == ["7 B", "3.0 MiB", "5.0 TiB"]
    assert [percent(each) for each in (0.999, 1.0)] == ["99 %", "100 %"]
    said = [count(1, "device"), count(2, "device"), count(3, "copy")]
    assert said == ["1 device", "2 devices", "3 copies"]
    assert grouped("abcdefghij") == "abcdefg hij"


def test_a_time_that_no_calendar_has_is_no_failure() -> None:
    assert moment(1e300) == "at no time"
    assert stamp(1e300) is None
    assert stamp(0) == "1970-01-01T00:00:00Z"
