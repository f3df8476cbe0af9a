"""Habits that are kept because a test keeps them."""

import re
import sys

import pytest

from tests.support import ROOT, run_cleanly, sources

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
PROSE = ("*.md", "docs/**/*.md", ".ci/run", "pyproject.toml")


def test_the_linter_finds_nothing() -> None:
    run_cleanly([sys.executable, "-m", "ruff", "check"])


def test_every_file_is_formatted() -> None:
    run_cleanly([sys.executable, "-m", "ruff", "format", "--check"])


@pytest.mark.timeout(300)
def test_every_type_is_right() -> None:
    run_cleanly([sys.executable, "-m", "mypy"])


def test_nothing_is_left_for_later() -> None:
    prose = [path for pattern in PROSE for path in ROOT.glob(pattern)]
    marks = {
        f"{path.relative_to(ROOT)}:{number}"
        for path in [*sources(), *prose]
        if path.name != "test_habits.py"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    }
    assert marks == set()
