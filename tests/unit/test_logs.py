"""A line an event: for people, for journald, for programs."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import logging
from p2pupd.logs import configure_logging
configure_logging({format!r}, debug={debug})
log = logging.getLogger("p2pupd.test")
log.debug("test.detail n=%d", 1)
log.warning("test.happened id=%s", "7")
try:
    raise ValueError("why")
except ValueError:
    log.exception("test.failed")
"""


def _said(form: str, *, debug: bool = False, journal: bool = False) -> list[str]:
    environment = {k: v for k, v in os.environ.items() if k != "JOURNAL_STREAM"}
    if journal:
        environment["JOURNAL_STREAM"] = "8:1"
    command = [sys.executable, "-c", PROGRAM.format(format=form, debug=debug)]
    ended = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return ended.stderr.splitlines()


@pytest.mark.parametrize("form", ["text", "auto"])
def test_people_read_time_level_and_event(form: str) -> None:
    first, *_ = _said(form)
    assert first.endswith("WARNING test.happened id=7")
    assert first[:2] == "20"


def test_details_are_for_builders() -> None:
    assert "test.detail n=1" in _said("text", debug=True)[0]


def test_journald_gets_a_priority_and_adds_the_time_itself() -> None:
    lines = _said("auto", journal=True)
    assert lines[0] == "<4>test.happened id=7"
    assert lines[1] == "<3>test.failed"


def test_programs_read_an_object_a_line() -> None:
    first, second = (json.loads(line) for line in _said("json"))
    assert first["level"] == "warning"
    assert first["event"] == "test.happened"
    assert isinstance(first["ts"], float)
    assert "ValueError: why" in json.dumps(second)
