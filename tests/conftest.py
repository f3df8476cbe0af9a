"""The coverage that single rooms must have, beside the whole (pyproject: fail_under).

`pytest --cov` checks both. Rooms that believe or decide are covered to the last branch.
"""

import io
from collections.abc import Generator
from typing import Final

import pytest
from coverage import Coverage
from coverage.exceptions import NoDataError

WHOLE: Final = 100.0
ROOMS: Final = ("model", "core", "wire", "trust")

uncovered = pytest.StashKey[dict[str, str]]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Outermost, so that pytest-cov inside has combined the data of all workers."""
    ended = yield
    measured = session.config.getoption("cov_source", None) and not hasattr(
        session.config, "workerinput"
    )
    if measured:
        found = {room: report for room in ROOMS if (report := _missing(room))}
        session.config.stash[uncovered] = found
        session.testsfailed += len(found)
    return ended


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which lines of which room were not run."""
    for room, report in config.stash.get(uncovered, {}).items():
        terminalreporter.section(f"p2pupd/{room} is not covered to the last branch", red=True)
        terminalreporter.write_line(report)


def _missing(room: str) -> str:
    """The report of a room that is not covered wholly, or nothing."""
    data = Coverage()
    data.load()
    text = io.StringIO()
    try:
        total = data.report(include=[f"p2pupd/{room}/*"], file=text, show_missing=True)
    except NoDataError:
        return f"nothing of p2pupd/{room} was run"
    return "" if total == WHOLE else text.getvalue()
