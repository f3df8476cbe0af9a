"""The floors of docs/architecture.md and the sizes of STYLE, as tests."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support import ROOT, run_cleanly, sources

LONGEST_FILE = 400
LONGEST_FUNCTION = 40
TABLES = {"p2pupd/core/transitions.py"}
"""A table stays on one page, however long its lines or the page are."""


def test_imports_point_downwards_and_foreign_libraries_have_one_owner() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    command = [str(program), "--no-logo", "--no-cache"]
    run_cleanly(command)


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{path.relative_to(ROOT)}:{node.name}", node.end_lineno - node.lineno + 1


def test_no_file_is_longer_than_a_reader_likes() -> None:
    lengths = {
        name: len(path.read_text("utf-8").splitlines())
        for path in sources()
        if (name := str(path.relative_to(ROOT))) not in TABLES
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    lengths = dict(each for path in sources() for each in _functions(path))
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}
