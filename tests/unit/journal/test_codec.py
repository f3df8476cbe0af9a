"""Releases as text, and text that is none."""

import json
from typing import Any

import pytest

from p2pupd.journal.codec import release_from_json, release_to_json
from p2pupd.model.ids import ComponentId
from p2pupd.model.release import Dependency
from tests.builders import a_release


def test_every_field_survives() -> None:
    release = a_release(
        depends_on=(Dependency(ComponentId("boot"), 3),),
        conflicts=(ComponentId("old"),),
        min_release=2,
        rollback_to=1,
        rollback_from=(4, 5),
        notes="ünïcode\nlines",
    )
    assert release_from_json(release_to_json(release)) == release


def changed(**changes: Any) -> str:
    return json.dumps(json.loads(release_to_json(a_release())) | changes)


def test_fields_of_a_newer_version_are_ignored() -> None:
    assert release_from_json(changed(colour="blue")) == a_release()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        changed(release="7"),
        changed(release=True),
        changed(kind="magic"),
        changed(artifact=5),
        changed(hardware_ids="gw2"),
        changed(depends_on=[{"component": "boot"}]),
    ],
)
def test_what_is_no_release_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        release_from_json(text)
