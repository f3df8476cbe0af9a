"""Daemons of a scenario run as a user's do: their coverage is not measured."""

import pytest


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Floors of up to 32 devices on one machine: measured, they take up to four times as long, and
    what they run, smaller tests measure."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
