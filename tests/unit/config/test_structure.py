"""From plain values to settings, by type."""

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from p2pupd.config.structure import plain, structure, type_name
from p2pupd.model.setting import NO_PATH, Bytes, Seconds, at_least, required, setting


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@dataclass(frozen=True, slots=True)
class Inner:
    name: str = required("Name")
    weight: float = setting(1.0, "Weight", check=at_least(0))


@dataclass(frozen=True, slots=True)
class Outer:
    count: int = setting(1, "Count")
    ratio: float = setting(0.5, "Ratio")
    on: bool = setting(False, "On")
    text: str = setting("", "Text")
    size: Bytes = setting(Bytes(0), "Size")
    time: Seconds = setting(Seconds(0.0), "Time")
    path: Path = setting(NO_PATH, "Path")
    colour: Colour = setting(Colour.RED, "Colour")
    words: tuple[str, ...] = setting((), "Words")
    inner: tuple[Inner, ...] = setting((), "Inner")


def _read(**table: Any) -> tuple[Outer, list[tuple[str, str]]]:
    made, mistakes = structure(Outer, table, "o.", lambda _: Path("/etc/p2pupd"))
    assert isinstance(made, Outer)
    return made, mistakes


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("count", 7, 7),
        ("count", "-7", -7),
        ("ratio", 2, 2.0),
        ("ratio", "0.25", 0.25),
        ("on", True, True),
        ("on", "false", False),
        ("text", "ab", "ab"),
        ("size", 5, 5),
        ("size", "64M", 64 << 20),
        ("size", "64 MiB", 64 << 20),
        ("size", "1.5k", 1536),
        ("size", "3", 3),
        ("size", "2T", 2 << 40),
        ("time", 5, 5.0),
        ("time", "90", 90.0),
        ("time", "250ms", 0.25),
        ("time", "90s", 90.0),
        ("time", "15m", 900.0),
        ("time", "2h", 7200.0),
        ("time", "30d", 2592000.0),
        ("path", "", NO_PATH),
        ("path", "a/b", Path("/etc/p2pupd/a/b")),
        ("path", "/a/b", Path("/a/b")),
        ("path", "~/b", Path.home() / "b"),
        ("colour", "green", Colour.GREEN),
        ("words", ["a", "b"], ("a", "b")),
        ("inner", [{"name": "n"}], (Inner("n"),)),
    ],
)
def test_a_value_of_its_type_is_read(key: str, given: object, expected: object) -> None:
    made, mistakes = _read(**{key: given})
    assert mistakes == []
    assert getattr(made, key) == expected


@pytest.mark.parametrize(
    ("key", "given", "wrong"),
    [
        ("count", True, "must be a whole number, not True"),
        ("count", 1.5, "must be a whole number, not 1.5"),
        ("ratio", "much", "must be a number, not 'much'"),
        ("ratio", True, "must be a number, not True"),
        ("on", 1, "must be true or false, not 1"),
        ("text", 1, "must be text, not 1"),
        ("text", {}, "must be text, not a table"),
        ("size", -1, 'must be a size such as 1048576 or "64M", not -1'),
        ("size", "64X", "must be a size such as 1048576 or \"64M\", not '64X'"),
        ("size", 1.5, 'must be a size such as 1048576 or "64M", not 1.5'),
        ("time", math.nan, 'must be a duration such as 90 or "15m", not nan'),
        ("time", "15 minutes", "must be a duration such as 90 or \"15m\", not '15 minutes'"),
        ("time", True, 'must be a duration such as 90 or "15m", not True'),
        ("path", 1, "must be a path, not 1"),
        ("colour", "blue", "must be one of red, green, not 'blue'"),
        ("colour", [], "must be one of red, green, not a list"),
        ("words", "a", "must be a list, not 'a'"),
        ("inner", ["a"], "must be a table, not 'a'"),
    ],
)
def test_a_value_of_another_type_is_told_and_the_default_stands_in(
    key: str, given: object, wrong: str
) -> None:
    made, mistakes = _read(**{key: given})
    assert [each[1] for each in mistakes] == [wrong]
    assert made == Outer()


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("size", "9999999999T"),
        ("size", "8192T"),
        ("size", 1 << 70),
        ("size", "1" * 400),
        ("time", math.inf),
        ("time", "1" * 400),
        ("time", "36501d"),
        ("count", 1 << 70),
        ("count", "-" + "1" * 17),
        ("count", "1" * 5000),
        ("ratio", math.inf),
        ("ratio", math.nan),
        ("ratio", "9" * 400),
    ],
)
def test_what_no_machine_can_count_is_a_mistake(key: str, given: object) -> None:
    made, mistakes = _read(**{key: given})
    assert [each[0] for each in mistakes] == [f"o.{key}"]
    assert made == Outer()


def test_the_largest_size_and_the_longest_duration_are_taken() -> None:
    made, mistakes = _read(size="8191T", time="36500d")
    assert (made.size, made.time, mistakes) == (8191 << 40, 36500 * 86400.0, [])


def test_a_long_wrong_value_is_told_in_part() -> None:
    _, mistakes = _read(on="x" * 500)
    assert len(mistakes[0][1]) < 100


def test_mistakes_inside_of_tables_have_their_index() -> None:
    made, mistakes = _read(inner=[{"name": "a"}, {"name": 1, "weight": -1}, {"nam": "b"}])
    assert sorted(mistakes) == [
        ("o.inner[1].name", "must be text, not 1"),
        ("o.inner[1].weight", "is below 0"),
        ("o.inner[2].nam", "is not a setting; did you mean `name`?"),
        ("o.inner[2].name", "is missing and has no default"),
    ]
    assert made.inner == (Inner("a"),)


def test_plain_values_make_the_same_settings_again() -> None:
    made, _ = _read(
        colour="green", path="/a", time="5m", size="1K", words=["x"], inner=[{"name": "n"}]
    )
    again, mistakes = _read(**plain(made))
    assert again == made
    assert mistakes == []


def test_types_have_names_for_people() -> None:
    assert type_name(tuple[Inner, ...]) == "list of tables"
    assert type_name(tuple[str, ...]) == "list of text"
    assert type_name(Bytes) == "size"
    assert type_name(Colour) == "`red` | `green`"
