"""Reading a repository: damage is named, strangers' files lead nowhere."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2pupd.errors import MetadataError, NotARepository, UpdateError, UsageError
from p2pupd.publisher.repository import load, locate, locked, realm_of
from tests.publishing import Publisher


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


def test_current_files_are_what_a_device_needs_and_no_more(publisher: Publisher) -> None:
    publisher.add(1)
    publisher.add(2)
    assert list(publisher.read().current_files()) == [
        "1.root.json",
        "3.gateway.json",
        "1.targets.json",
        "3.snapshot.json",
        "timestamp.json",
    ]


def test_a_repository_is_found_itself_and_on_a_stick(publisher: Publisher, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "p2pupd").symlink_to(publisher.directory)
    assert locate(publisher.directory) == publisher.directory
    assert locate(stick) == stick / "p2pupd"
    with pytest.raises(NotARepository, match="neither") as caught:
        locate(tmp_path)
    assert caught.value.code == 15


def test_what_is_no_repository_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotARepository, match="repo init"):
        load(tmp_path)
    with pytest.raises(NotARepository), locked(tmp_path / "absent"):
        pass


def test_the_realm_is_that_of_the_first_root(publisher: Publisher) -> None:
    assert len(realm_of(publisher.directory)) == 16


def test_an_unknown_role_is_said_with_the_known_ones(publisher: Publisher) -> None:
    with pytest.raises(UsageError, match="root, targets, snapshot, timestamp, gateway"):
        publisher.read().role("panel")


def test_failures_of_the_disk_while_locked_are_explained(publisher: Publisher) -> None:
    with pytest.raises(UpdateError, match="work in"), locked(publisher.directory):
        (publisher.directory / "absent").read_bytes()


@pytest.mark.parametrize(
    "name",
    ["timestamp.json", "1.root.json", "1.snapshot.json", "1.targets.json", "1.gateway.json"],
)
@pytest.mark.parametrize("damage", ["missing", "empty", "no-json", "other-type", "directory"])
def test_damage_is_named(publisher: Publisher, name: str, damage: str) -> None:
    path = publisher.directory / "metadata" / name
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "no-json":
        path.write_bytes(b"\xff{")
    elif damage == "other-type":
        other = "1.targets.json" if "root" in name else "1.root.json"
        path.write_bytes((path.parent / other).read_bytes())
    else:
        path.unlink()
        if damage == "directory":
            path.mkdir()
    with pytest.raises((MetadataError, NotARepository), match=r"\.json|no p2pupd"):
        load(publisher.directory)


def test_a_file_over_its_limit_is_not_read(publisher: Publisher) -> None:
    (publisher.directory / "metadata" / "timestamp.json").write_bytes(b" " * 4097)
    with pytest.raises(UpdateError, match="larger than 4096"):
        load(publisher.directory)


def drop_targets(meta: dict[str, Any]) -> None:
    del meta["targets.json"]


def lead_astray(name: str) -> Callable[[dict[str, Any]], None]:
    def change(meta: dict[str, Any]) -> None:
        meta[name] = meta["targets.json"]

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (drop_targets, "does not name targets.json"),
        (lead_astray("../../etc/passwd.json"), "no product line"),
        (lead_astray("root.json"), "no product line"),
        (lead_astray("timestamp.json"), "no product line"),
    ],
)
def test_a_snapshot_that_leads_astray_is_refused(
    publisher: Publisher, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    path = publisher.directory / "metadata" / "1.snapshot.json"
    value = json.loads(path.read_bytes())
    change(value["signed"]["meta"])
    path.write_text(json.dumps(value))
    with pytest.raises(MetadataError, match=complaint):
        load(publisher.directory)
