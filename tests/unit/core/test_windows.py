"""Windows of the week: how they are written, when they are open, when that changes."""

import pytest

from p2pupd.core.windows import (
    DAY,
    EVERY_DAY,
    LocalTime,
    Window,
    is_open,
    next_change,
    parse_window,
    window_mistake,
)

MONDAY, FRIDAY, SATURDAY, SUNDAY = 0, 4, 5, 6


def at(weekday: int, text: str) -> LocalTime:
    hour, _, minute = text.partition(":")
    return LocalTime(weekday, int(hour) * 60 + int(minute))


def test_a_window_without_days_opens_every_day() -> None:
    assert parse_window("22:00-05:00") == Window(EVERY_DAY, 22 * 60, 7 * 60)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Mon 1:00-2:00", {0}),
        ("mon-fri 01:00 - 02:00", {0, 1, 2, 3, 4}),
        ("Sat,Sun 01:00-02:00", {5, 6}),
        ("Sat, Mon-Tue 01:00-02:00", {5, 0, 1}),
        ("Fri-Mon 01:00-02:00", {4, 5, 6, 0}),
    ],
)
def test_days_are_named_singly_in_lists_and_in_spans(text: str, days: set[int]) -> None:
    assert parse_window(text) == Window(frozenset(days), 60, 60)


def test_a_whole_day_ends_at_24() -> None:
    assert parse_window("00:00-24:00").length == DAY
    assert parse_window("22:00-24:00").length == 120
    assert parse_window("22:00-00:00").length == 120


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "is no window of time"),
        ("22-05", "is no window of time"),
        ("22:00-05:00 Mon", "is no window of time"),
        ("24:00-05:00", "no clock shows"),
        ("22:60-05:00", "no clock shows"),
        ("22:00-24:01", "no clock shows"),
        ("05:00-05:00", "is empty"),
        ("Mo-Fri 22:00-05:00", "names no day: 'Mo'"),
        ("Mon-, 22:00-05:00", "names no day: ''"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        parse_window(text)
    assert wrong in (window_mistake(["22:00-05:00", text]) or "")


def test_a_list_without_mistakes_has_none() -> None:
    assert window_mistake(["22:00-05:00", "Sat,Sun 00:00-24:00"]) is None


def test_without_windows_it_is_always_open() -> None:
    assert is_open([], at(MONDAY, "12:00"))
    assert next_change([], at(MONDAY, "12:00")) is None


def test_a_window_over_midnight_belongs_to_the_day_it_opens_on() -> None:
    windows = [parse_window("Fri 22:00-05:00")]
    assert is_open(windows, at(FRIDAY, "22:00"))
    assert is_open(windows, at(SATURDAY, "04:59"))
    assert not is_open(windows, at(SATURDAY, "05:00"))
    assert not is_open(windows, at(SATURDAY, "22:30"))
    assert not is_open(windows, at(FRIDAY, "04:00"))


def test_a_window_over_the_end_of_the_week_is_open_on_monday() -> None:
    windows = [parse_window("Sun 22:00-05:00")]
    assert is_open(windows, at(MONDAY, "04:59"))
    assert next_change(windows, at(SUNDAY, "23:00")) == 6 * 60


def test_the_next_change_is_the_next_opening_or_end() -> None:
    windows = [parse_window("22:00-05:00")]
    assert next_change(windows, at(MONDAY, "21:59")) == 1
    assert next_change(windows, at(MONDAY, "22:00")) == 7 * 60
    assert next_change(windows, at(MONDAY, "05:00")) == 17 * 60


def test_the_next_change_may_be_a_week_away() -> None:
    assert next_change([parse_window("Mon 1:00-2:00")], at(MONDAY, "02:00")) == 7 * DAY - 60


def test_edges_inside_other_windows_change_nothing() -> None:
    windows = [parse_window("01:00-03:00"), parse_window("02:00-04:00"), parse_window("4:00-5:00")]
    assert next_change(windows, at(MONDAY, "01:30")) == 210


def test_windows_that_fill_the_week_never_change() -> None:
    assert next_change([parse_window("00:00-24:00")], at(MONDAY, "12:00")) is None


def test_local_times_are_written_as_people_write_them() -> None:
    assert str(at(SUNDAY, "7:05")) == "Sun 07:05"
    assert str(at(SUNDAY, "23:30").later(60)) == "Mon 00:30"
