"""What may stand in `[uplink]`."""

from pathlib import Path
from typing import Any

import pytest

from p2pupd.config.structure import structure
from p2pupd.feeds.uplink_settings import UplinkSettings, window


def mistakes(**table: Any) -> list[str]:
    _, found = structure(UplinkSettings, table, "uplink.", lambda _: Path())
    return [f"{key} {wrong}" for key, wrong in found]


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"url": "https://updates.example.com/acme", "hours": ["22:00-05:00", "00:00-24:00"]},
        {"url": "http://user:word@[::1]:8000/", "proxy": "http://proxy:3128", "monthly": "2G"},
    ],
)
def test_what_is_right_is_taken(table: dict[str, Any]) -> None:
    assert mistakes(**table) == []


@pytest.mark.parametrize(
    "table",
    [
        {"url": "ftp://host/"},
        {"url": "https:///path"},
        {"url": "https://host:port/"},
        {"url": "https://host/?token=1"},
        {"url": "https://host/with space"},
        {"proxy": "socks5://host:1080"},
        {"hours": ["22-05"]},
        {"hours": ["22:00-22:00"]},
        {"hours": ["22:00-24:30"]},
        {"hours": ["25:00-05:00"]},
        {"interval": 0},
        {"range": 100},
    ],
)
def test_what_is_wrong_is_told(table: dict[str, Any]) -> None:
    (key,) = table
    (said,) = mistakes(**table)
    assert said.startswith(f"uplink.{key} is ")


def test_a_window_is_minutes_of_the_day() -> None:
    assert window("22:00-05:30") == (1320, 330)
    assert window("00:00-24:00") == (0, 1440)
