"""What `repo show` tells about a repository and about a stick."""

from pathlib import Path

import pytest

from p2pupd.errors import NotARepository
from p2pupd.publisher import stick
from p2pupd.publisher.overview import overview
from p2pupd.trust.settings import TrustSettings
from p2pupd.trust.verifier import Verifier
from tests.publishing import NOW, Publisher


def test_roles_and_releases_are_told(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path, lines=("gateway", "sensor"), threshold=2, root_keys=3)
    release = publisher.add(7, line="sensor", notes="Fixes the clock.")
    found = overview(publisher.directory)
    assert list(found["roles"]) == [
        "root",
        "targets",
        "snapshot",
        "timestamp",
        "gateway",
        "sensor",
    ]
    root = found["roles"]["root"]
    assert (root["version"], root["threshold"], len(root["keys"])) == (1, 2, 3)
    assert found["roles"]["timestamp"]["expires"] == "2027-07-14T08:00:00Z"
    assert found["roles"]["sensor"]["version"] == 2
    (told,) = found["releases"]
    assert told["target"] == release.target
    assert (told["release"], told["notes"], told["present"]) == (7, "Fixes the clock.", True)


def test_a_stick_says_which_files_it_lacks(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    publisher.add(1)
    publisher.add(2)
    medium = tmp_path / "stick"
    medium.mkdir()
    repository = publisher.read()
    stick.export(repository, medium, stick.select(repository.releases()), lambda *_: None, NOW)
    found = overview(medium)
    assert [each["present"] for each in found["releases"]] == [False, True]


def test_the_realm_is_the_one_that_devices_announce(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    settings = TrustSettings(root=publisher.read().anchor)
    verifier = Verifier(tmp_path / "state", settings, build_time=0)
    assert overview(publisher.directory)["realm"] == verifier.realm


def test_a_place_without_a_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotARepository, match=str(tmp_path)):
        overview(tmp_path)
