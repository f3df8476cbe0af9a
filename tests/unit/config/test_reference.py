"""The reference page says what the settings classes say."""

from dataclasses import fields

import pytest

from p2pupd.config.reference import page
from p2pupd.config.schema import Settings
from p2pupd.config.structure import keys
from p2pupd.model.setting import DOC
from tests.support import ROOT


def test_the_committed_page_is_current() -> None:
    """Otherwise: `.venv/bin/p2pupd config reference > docs/configuration.md`."""
    assert (ROOT / "docs/configuration.md").read_text("utf-8") == page()


@pytest.mark.parametrize("section", [each.name for each in fields(Settings)])
def test_every_setting_says_what_it_means(section: str) -> None:
    kind = type(getattr(Settings(), section))
    silent = [name for name, _, declared in keys(kind) if not declared.metadata.get(DOC)]
    assert silent == []


def test_defaults_are_written_as_they_would_be_set() -> None:
    text = page()
    assert '| `quota` | size | `"8G"` |' in text
    assert '| `old_after` | duration | `"30d"` |' in text
    assert "| `mdns` | boolean | `true` |" in text
    assert "| `slot_a` | path | unset |" in text
    assert "| `name` | text | required |" in text
    assert "| `probe_rate` | number | `" in text
