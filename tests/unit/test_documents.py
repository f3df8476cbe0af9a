"""Pages that say what the code says, and commands that are written down in one place."""

import re
import subprocess
from pathlib import Path

import pytest

from tests import lifecycle_diagram
from tests.support import ROOT

LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docker/*.md")])
PINS = re.compile(r"^([a-z0-9._-]+==\S+)", re.MULTILINE)


def _command(name: str) -> str:
    """The command line that stands below a mark in the README."""
    text = (ROOT / "README.md").read_text("utf-8")
    found = re.findall(rf"<!-- command: {name} -->\n+```sh\n(.+?)```", text, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


@pytest.mark.parametrize("page", PAGES, ids=[str(each.relative_to(ROOT)) for each in PAGES])
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    lost = {
        link for link in LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()
    }
    assert lost == set()


def test_every_decision_is_listed() -> None:
    listed = LINK.findall((ROOT / "docs" / "architecture.md").read_text("utf-8"))
    assert {f"adr/{each.name}" for each in ROOT.glob("docs/adr/*.md")} <= set(listed)


def test_the_diagram_of_the_lifecycle_is_drawn_from_its_table() -> None:
    """Otherwise: `python -m tests.lifecycle_diagram`."""
    assert lifecycle_diagram.PAGE.read_text("utf-8") == lifecycle_diagram.current()


def test_the_build_runs_exactly_the_test_command_of_the_readme() -> None:
    command = [str(ROOT / ".ci" / "run"), "--show"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == _command("test").strip()


@pytest.mark.parametrize("name", ["demo", "test"])
def test_a_command_of_the_readme_is_one_command_line(name: str) -> None:
    lines = _command(name).strip().splitlines()
    assert all(line.endswith("\\") for line in lines[:-1])
    assert "&&" in lines[-1]


def test_both_locks_agree() -> None:
    every = PINS.findall((ROOT / ".ci/requirements.txt").read_text("utf-8"))
    run = PINS.findall((ROOT / ".ci/requirements-run.txt").read_text("utf-8"))
    assert run
    assert set(run) <= set(every)
