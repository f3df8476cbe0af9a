"""What gets onto a stick, what leaves it, and what stops an export before a byte is written."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from p2pupd.errors import (
    ContentError,
    ExpiredError,
    HostError,
    NothingToDo,
    SpaceError,
    UnsafeMedia,
    UsageError,
)
from p2pupd.feeds.repository import read_repository
from p2pupd.feeds.settings import MediaSettings
from p2pupd.model.release import Release
from p2pupd.publisher import authority, stick
from p2pupd.publisher.stick import Exported
from p2pupd.wire import bundle
from tests.loop_devices import loop_device
from tests.publishing import DAY, NOW, Publisher
from tests.support import needs_root


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    place = tmp_path / "stick"
    place.mkdir()
    return place


def export(publisher: Publisher, medium: Path, now: int = NOW, **choice: Any) -> Exported:
    repository = publisher.read()
    releases = stick.select(repository.releases(), **choice)
    return stick.export(repository, medium, releases, lambda *_: None, now)


def files_of(place: Path) -> set[str]:
    return {str(each.relative_to(place)) for each in place.rglob("*") if each.is_file()}


def numbers(releases: tuple[Release, ...]) -> list[int]:
    return sorted(each.release for each in releases)


def on_stick(release: Release) -> str:
    folder, _, name = release.target.rpartition("/")
    return f"targets/{folder}/{release.artifact.sha256}.{name}"


def test_a_stick_holds_the_latest_release_and_the_current_metadata_only(
    publisher: Publisher, medium: Path
) -> None:
    publisher.add(1)
    latest = publisher.add(2)
    result = export(publisher, medium)
    assert result == Exported((latest,), removed=0, unchanged=False)
    assert files_of(medium / "p2pupd") == {
        on_stick(latest),
        f"{on_stick(latest)}.layer",
        "metadata/1.root.json",
        "metadata/1.targets.json",
        "metadata/3.gateway.json",
        "metadata/3.snapshot.json",
        "metadata/timestamp.json",
    }


def test_a_device_reads_from_the_stick_what_was_signed(publisher: Publisher, medium: Path) -> None:
    publisher.add(1)
    export(publisher, medium)
    read = bundle.decode(read_repository(medium, MediaSettings())).files
    assert dict(read) == publisher.read().current_files()


def test_the_whole_root_chain_is_on_the_stick(publisher: Publisher, medium: Path) -> None:
    publisher.add(1)
    export(publisher, medium)
    for _ in range(2):
        authority.rotate(publisher.directory, "root", None, publisher.signing(), publisher.sealer)
    export(publisher, medium)
    roots = {f"metadata/{version}.root.json" for version in (1, 2, 3)}
    assert roots <= files_of(medium / "p2pupd")


def test_files_of_the_past_leave_the_stick(publisher: Publisher, medium: Path) -> None:
    old = publisher.add(1, component="sensor-fw")
    publisher.add(1)
    export(publisher, medium)
    (medium / "p2pupd" / "targets" / "link").symlink_to("/etc")
    (medium / "holiday.jpg").write_bytes(b"not ours")
    result = export(publisher, medium, components=frozenset({"gateway-os"}))
    assert result.unchanged
    assert result.removed == 3, "the old target, its layer, and the link"
    assert on_stick(old) not in files_of(medium / "p2pupd")
    assert not (medium / "p2pupd" / "targets" / "gateway" / "sensor-fw").exists()
    assert (medium / "holiday.jpg").exists()
    assert Path("/etc/passwd").exists()


def test_nothing_is_written_twice(publisher: Publisher, medium: Path) -> None:
    kept = publisher.add(1)
    export(publisher, medium)
    before = (medium / "p2pupd" / on_stick(kept)).stat()
    publisher.add(1, component="other")
    assert not export(publisher, medium).unchanged
    assert (medium / "p2pupd" / on_stick(kept)).stat().st_ino == before.st_ino
    assert export(publisher, medium).unchanged


def test_a_damaged_file_on_the_stick_is_written_anew(publisher: Publisher, medium: Path) -> None:
    release = publisher.add(1)
    export(publisher, medium)
    carried = medium / "p2pupd" / on_stick(release)
    carried.write_bytes(bytes(release.artifact.length))
    assert not export(publisher, medium).unchanged
    assert carried.read_bytes() == (publisher.directory / on_stick(release)).read_bytes()


def test_without_releases_the_stick_carries_metadata(publisher: Publisher, medium: Path) -> None:
    assert export(publisher, medium).releases == ()
    assert "metadata/timestamp.json" in files_of(medium / "p2pupd")
    assert export(publisher, medium).unchanged


def test_each_component_and_hardware_has_its_latest(publisher: Publisher) -> None:
    publisher.add(1)
    publisher.add(2, hardware_ids=("acme-gw3",))
    publisher.add(3)
    publisher.add(1, component="sensor-fw")
    chosen = stick.select(publisher.read().releases())
    assert sorted((each.component, each.release) for each in chosen) == [
        ("gateway-os", 2),
        ("gateway-os", 3),
        ("sensor-fw", 1),
    ]


def test_stepping_stones_come_along(publisher: Publisher) -> None:
    publisher.add(1)
    publisher.add(2)
    publisher.add(3)
    publisher.add(4, min_release=2)
    publisher.add(5, min_release=4)
    assert numbers(stick.select(publisher.read().releases())) == [3, 4, 5]


def test_a_signed_way_back_comes_along(publisher: Publisher) -> None:
    publisher.add(1)
    publisher.add(2, rollback_from=(3,))
    publisher.add(3)
    assert numbers(stick.select(publisher.read().releases())) == [2, 3]


def test_all_means_all(publisher: Publisher) -> None:
    publisher.add(1)
    publisher.add(2)
    assert numbers(stick.select(publisher.read().releases(), every=True)) == [1, 2]


def test_an_unknown_component_is_named(publisher: Publisher) -> None:
    publisher.add(1)
    with pytest.raises(UsageError, match="no release of tank-os"):
        stick.select(publisher.read().releases(), frozenset({"tank-os"}))


def test_a_stick_that_is_newer_is_left_alone(
    publisher: Publisher, medium: Path, tmp_path: Path
) -> None:
    publisher.add(1)
    old = tmp_path / "backup"
    subprocess.run(["cp", "-a", str(publisher.directory), str(old)], check=True)
    publisher.add(2)
    export(publisher, medium)
    before = files_of(medium)
    publisher.directory = old
    with pytest.raises(NothingToDo, match="newer"):
        export(publisher, medium)
    assert files_of(medium) == before


def test_the_stick_of_another_fleet_is_left_alone(
    publisher: Publisher, medium: Path, tmp_path: Path
) -> None:
    other = Publisher(tmp_path / "other")
    export(other, medium)
    with pytest.raises(UsageError, match="another fleet"):
        export(publisher, medium)


def test_expired_metadata_is_not_exported(publisher: Publisher, medium: Path) -> None:
    publisher.add(1)
    with pytest.raises(ExpiredError, match=r"timestamp\.json .* expired on 2027-.*refresh"):
        export(publisher, medium, now=NOW + 181 * DAY)
    assert files_of(medium) == set()


@pytest.mark.parametrize("damage", ["missing", "cut off"])
def test_a_release_without_its_file_is_not_exported(
    publisher: Publisher, medium: Path, damage: str
) -> None:
    file = publisher.directory / on_stick(publisher.add(1))
    if damage == "missing":
        file.unlink()
    else:
        os.truncate(file, 10)
    with pytest.raises(ContentError, match=r"gateway-os 1\.1 \(release 1\).*--component"):
        export(publisher, medium)
    assert files_of(medium) == set()


def test_a_damaged_release_does_not_reach_the_stick(publisher: Publisher, medium: Path) -> None:
    release = publisher.add(1)
    (publisher.directory / on_stick(release)).write_bytes(bytes(release.artifact.length))
    with pytest.raises(ContentError, match="not what was signed"):
        export(publisher, medium)
    assert files_of(medium) == set()


def test_a_stick_must_be_there(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="where it is mounted"):
        export(publisher, tmp_path / "absent")


def test_a_link_on_the_stick_is_not_followed(
    publisher: Publisher, medium: Path, tmp_path: Path
) -> None:
    publisher.add(1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (medium / "p2pupd").symlink_to(elsewhere)
    with pytest.raises(UnsafeMedia):
        export(publisher, medium)
    assert files_of(elsewhere) == set()


@needs_root
def test_a_release_that_does_not_fit_is_refused_before_writing(
    publisher: Publisher, medium: Path
) -> None:
    publisher.add(1, size=3_000_000)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(medium)], check=True)
    try:
        with pytest.raises(SpaceError, match="nothing was written"):
            export(publisher, medium)
        assert files_of(medium) == set()
    finally:
        subprocess.run(["umount", str(medium)], check=True)


@needs_root
def test_a_file_system_of_short_files_is_found_out_before_writing(
    publisher: Publisher, medium: Path, tmp_path: Path
) -> None:
    """ext2 with blocks of 1 KiB stands for FAT32: a file has at most 16 GiB there."""
    with loop_device(tmp_path / "disk", 8 << 20) as device:
        subprocess.run(["mkfs.ext2", "-q", "-F", "-b", "1024", str(device)], check=True)
        subprocess.run(["mount", str(device), str(medium)], check=True)
        try:
            with pytest.raises(SpaceError, match=r"no file of 18\d+ bytes.*exFAT"):
                stick.check_file_size(medium, 17 << 30)
            stick.check_file_size(medium, 15 << 30)
            assert files_of(medium) == set()
        finally:
            subprocess.run(["umount", str(medium)], check=True)


@needs_root
def test_a_stick_that_is_write_protected_says_so(publisher: Publisher, medium: Path) -> None:
    publisher.add(1)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(medium)], check=True)
    try:
        with pytest.raises(HostError, match="Read-only"):
            export(publisher, medium)
    finally:
        subprocess.run(["umount", str(medium)], check=True)


def test_a_repository_without_piece_layers_makes_a_stick_with_them(
    publisher: Publisher, medium: Path
) -> None:
    layer = publisher.directory / f"{on_stick(publisher.add(1))}.layer"
    right = layer.read_bytes()
    layer.unlink()
    result = export(publisher, medium)
    assert (medium / "p2pupd" / layer.relative_to(publisher.directory)).read_bytes() == right
    assert result.removed == 0
