"""What is remembered of rollouts outlives the daemon."""

from pathlib import Path

from p2pupd.core.course import Course
from p2pupd.engine.courses import FILE, Consents, CourseFile

COURSE = Course("os", 7, {1: 5.0}, halted=0, resumed=3, deferrals=1, deferred=9.0)


def test_everything_comes_back(tmp_path: Path) -> None:
    consents = Consents(frozenset({7}), frozenset({8}))
    CourseFile(tmp_path).save({("os", 7): COURSE, ("os", 6): Course("os", 6)}, consents)
    courses, found = CourseFile(tmp_path).load()
    assert courses == {("os", 7): COURSE, ("os", 6): Course("os", 6)}
    assert found == consents


def test_a_file_that_says_nothing_is_nothing(tmp_path: Path) -> None:
    assert CourseFile(tmp_path).load() == ({}, Consents())
    for wrong in ("", "[]", '{"rollouts": [{}]}'):
        (tmp_path / FILE).write_text(wrong)
        assert CourseFile(tmp_path).load() == ({}, Consents())
