"""Making sticks: what is on them afterwards, and what stays untouched."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.errors import (
    ContentError,
    HostError,
    NothingToDo,
    SpaceError,
    UnsafeMedia,
    UpdateError,
    UsageError,
)
from p2pupd.feeds.repository import open_target, read_repository
from p2pupd.feeds.settings import MediaSettings
from p2pupd.feeds.stick import export_to
from p2pupd.model.release import Release
from p2pupd.wire import bundle as wire
from tests.contents import layer_of, payload
from tests.sticks import layer_path, metadata, mounted, released, target_path, write_repository
from tests.support import needs_root

CONTENTS = (payload(3 << 20), payload(1000, 2))
RELEASES = tuple(released(content, number) for number, content in enumerate(CONTENTS, start=7))
LIMITS = MediaSettings()


def bundle(version: int = 1, fleet: str = "ours") -> bytes:
    return wire.encode(wire.Bundle(metadata(version, fleet)))


@pytest.fixture
def stored(tmp_path: Path) -> list[tuple[Release, Path]]:
    """What the device carries."""
    pairs = []
    for release, content in zip(RELEASES, CONTENTS, strict=True):
        path = tmp_path / release.artifact.pieces_root
        path.write_bytes(content)
        pairs.append((release, path))
    return pairs


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    path = tmp_path / "stick"
    path.mkdir()
    return path


def ignore(release: Release, done: int) -> None:
    pass


Stored = list[tuple[Release, Path]]


def test_a_written_stick_is_what_a_device_reads(stick: Path, stored: Stored) -> None:
    seen: dict[str, list[int]] = {}
    export_to(stick, bundle(), stored, lambda r, done: seen.setdefault(r.label, []).append(done))
    assert read_repository(stick, LIMITS) == bundle()
    for release, content in zip(RELEASES, CONTENTS, strict=True):
        with open_target(stick, release) as file:
            assert file.read() == content
        assert seen[release.label] == sorted(seen[release.label])
        assert seen[release.label][-1] == len(content)


def test_the_timestamp_is_written_last(stick: Path, stored: Stored) -> None:
    export_to(stick, bundle(), stored, ignore)
    written = sorted(
        (path for path in stick.rglob("*") if path.is_file()), key=lambda p: p.stat().st_mtime_ns
    )
    names = [path.name for path in written]
    assert [name[:64] for name in names[:4:2]] == [r.artifact.sha256 for r in RELEASES]
    assert names[-3:] == ["1.targets.json", "1.snapshot.json", "timestamp.json"]
    assert not [name for name in names if name.endswith(".new")]


def test_writing_the_same_again_is_nothing_to_do(stick: Path, stored: Stored) -> None:
    export_to(stick, bundle(), stored, ignore)
    seen: list[int] = []
    with pytest.raises(NothingToDo, match="already"):
        export_to(stick, bundle(), stored, lambda _, done: seen.append(done))
    assert seen == [3 << 20, 1000]


def test_only_what_is_missing_or_damaged_is_written(stick: Path, stored: Stored) -> None:
    export_to(stick, bundle(), stored, ignore)
    good, bad = (stick / "p2pupd" / target_path(each) for each in RELEASES)
    before = good.stat().st_ino
    for damaged in (bytes(1000), b"short"):
        bad.write_bytes(damaged)
        export_to(stick, bundle(), stored, ignore)
        assert bad.read_bytes() == CONTENTS[1]
    assert good.stat().st_ino == before


def test_a_stick_with_older_metadata_is_brought_up_to_date(stick: Path, stored: Stored) -> None:
    write_repository(stick / "p2pupd", version=1)
    export_to(stick, bundle(2), stored, ignore)
    assert read_repository(stick, LIMITS) == bundle(2)


def refused(stick: Path, stored: Stored, kind: type[UpdateError], says: str) -> None:
    def everything() -> dict[str, int]:
        return {str(each): each.lstat().st_mtime_ns for each in stick.rglob("*")}

    before = everything()
    with pytest.raises(kind, match=says) as caught:
        export_to(stick, bundle(), stored, ignore)
    assert type(caught.value) is kind
    assert everything() == before


def test_a_stick_with_newer_metadata_is_left_as_it_is(stick: Path, stored: Stored) -> None:
    write_repository(stick / "p2pupd", version=9)
    refused(stick, stored, NothingToDo, "version 9")


def test_the_stick_of_another_fleet_is_left_as_it_is(stick: Path, stored: Stored) -> None:
    write_repository(stick / "p2pupd", fleet="theirs")
    refused(stick, stored, UsageError, "another fleet")


def links_out(stick: Path) -> None:
    (stick / "p2pupd").symlink_to(stick.parent / "outside")


def targets_link_out(stick: Path) -> None:
    write_repository(stick / "p2pupd")
    (stick / "p2pupd" / "targets").symlink_to(stick.parent / "outside")


def metadata_is_a_fifo(stick: Path) -> None:
    (stick / "p2pupd").mkdir()
    os.mkfifo(stick / "p2pupd" / "metadata")


@pytest.mark.parametrize("lay", [links_out, targets_link_out, metadata_is_a_fifo])
def test_a_trap_on_the_stick_is_not_stepped_into(
    stick: Path, stored: Stored, lay: Callable[[Path], None]
) -> None:
    (stick.parent / "outside").mkdir()
    lay(stick)
    refused(stick, stored, UnsafeMedia, "a directory was expected")
    assert list((stick.parent / "outside").iterdir()) == []


@pytest.mark.parametrize("rubbish", [b"rubbish", b'{"signed": {"version": "x"}}'])
def test_unreadable_metadata_is_written_anew(stick: Path, stored: Stored, rubbish: bytes) -> None:
    write_repository(stick / "p2pupd")
    (stick / "p2pupd" / "metadata" / "timestamp.json").write_bytes(rubbish)
    export_to(stick, bundle(), stored, ignore)
    assert read_repository(stick, LIMITS) == bundle()


def test_a_half_written_stick_is_completed(stick: Path, stored: Stored) -> None:
    (stick / "p2pupd" / "metadata").mkdir(parents=True)
    export_to(stick, bundle(), stored, ignore)
    (stick / "p2pupd" / "metadata" / "1.root.json").unlink()
    export_to(stick, bundle(), stored, ignore)
    assert read_repository(stick, LIMITS) == bundle()


@pytest.mark.parametrize("content", [b"rotten", bytes(3 << 20)])
def test_a_damaged_store_makes_no_stick(stick: Path, stored: Stored, content: bytes) -> None:
    stored[0][1].write_bytes(content)
    with pytest.raises(ContentError, match="not what was signed"):
        export_to(stick, bundle(), stored, ignore)
    assert not list(stick.rglob("*.*"))


def test_files_that_cannot_be_read_or_written_are_clear_errors(stick: Path, stored: Stored) -> None:
    with pytest.raises(HostError, match=r"cannot write to .*/none: No such file"):
        export_to(stick / "none", bundle(), stored, ignore)
    stored[0][1].unlink()
    with pytest.raises(HostError, match="cannot read"):
        export_to(stick, bundle(), stored, ignore)


def test_a_target_name_that_leads_elsewhere_is_not_written(stick: Path, stored: Stored) -> None:
    evil = (replace(RELEASES[0], target="../../evil"), stored[0][1])
    with pytest.raises(UnsafeMedia):
        export_to(stick, bundle(), [evil], ignore)


@needs_root
def test_a_stick_that_is_too_small_is_refused_before_anything_is_written(
    stick: Path, stored: Stored
) -> None:
    with mounted(stick, size="2m"):
        refused(stick, stored, SpaceError, "needed; nothing was written")


@needs_root
def test_a_read_only_stick_is_a_clear_error(stick: Path, stored: Stored) -> None:
    with mounted(stick):
        subprocess.run(["mount", "-o", "remount,ro", stick], check=True)
        refused(stick, stored, HostError, "Read-only file system")


def layers(stick: Path) -> list[bytes]:
    return [(stick / "p2pupd" / layer_path(each)).read_bytes() for each in RELEASES]


def test_a_piece_layer_lies_beside_every_target(stick: Path, stored: Stored) -> None:
    export_to(stick, bundle(), stored, ignore)
    assert layers(stick) == [layer_of(content) for content in CONTENTS]


@pytest.mark.parametrize("wrong", [b"", bytes(32 * 192), bytes(9999)])
def test_a_wrong_layer_beside_the_file_is_not_copied(
    stick: Path, stored: Stored, wrong: bytes
) -> None:
    for _, content in stored:
        content.with_name(content.name + ".layer").write_bytes(wrong)
    export_to(stick, bundle(), stored, ignore)
    assert layers(stick) == [layer_of(content) for content in CONTENTS]


def test_a_stick_of_before_gets_its_layers_and_nothing_else(stick: Path, stored: Stored) -> None:
    export_to(stick, bundle(), stored, ignore)
    first, second = (stick / "p2pupd" / layer_path(each) for each in RELEASES)
    target = stick / "p2pupd" / target_path(RELEASES[0])
    before = target.stat().st_ino
    first.unlink()
    second.write_bytes(b"rubbish")
    beside = stored[1][1].with_name(stored[1][1].name + ".layer")
    beside.write_bytes(layer_of(CONTENTS[1]))
    export_to(stick, bundle(), stored, ignore)
    assert layers(stick) == [layer_of(content) for content in CONTENTS]
    assert target.stat().st_ino == before
    with pytest.raises(NothingToDo):
        export_to(stick, bundle(), stored, ignore)


def test_a_layer_that_cannot_be_had_stops_no_export(stick: Path, stored: Stored) -> None:
    export_to(stick, bundle(), stored, ignore)
    layer = stick / "p2pupd" / layer_path(RELEASES[0])
    layer.unlink()
    os.mkfifo(layer)
    stored[0][1].write_bytes(b"damaged in the store, whole on the stick")
    with pytest.raises(NothingToDo):
        export_to(stick, bundle(), stored, ignore)
