"""Settings of generated tests, and the coverage that single rooms must have.

`pytest --cov` checks it, beside that of the whole (pyproject: fail_under). Rooms that believe or
decide are covered to the last branch.
"""

import io
from collections.abc import Generator
from typing import Final

import hypothesis
import pytest
from coverage import Coverage
from coverage.exceptions import NoDataError

WHOLE: Final = 100.0
ROOMS: Final = ("model", "core", "wire", "trust")

# How long an example takes is not what generated tests are about, and the machine may be busy.
hypothesis.settings.register_profile("p2pupd", deadline=None)
hypothesis.settings.load_profile("p2pupd")

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
