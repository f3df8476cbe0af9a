"""Media that nobody vouches for: what is read, and what is refused before a byte of it is."""

import os
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from p2pupd.errors import (
    ContentError,
    FetchError,
    MetadataError,
    NotARepository,
    SourceGone,
    UnsafeMedia,
    UpdateError,
)
from p2pupd.feeds.repository import (
    DEEPEST,
    fingerprint,
    open_target,
    read_layer,
    read_repository,
)
from p2pupd.feeds.settings import MediaSettings
from p2pupd.wire import bundle as wire
from tests.contents import layer_of, payload
from tests.sticks import (
    endless_directories,
    layer_path,
    metadata,
    released,
    signed,
    target_path,
    write_repository,
)
from tests.support import needs_root

LIMITS = MediaSettings(directory_entries=100)
CONTENT = payload(100_000)
RELEASE = released(CONTENT)


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    """A stick's mount point, with a good repository on it."""
    write_repository(tmp_path / "p2pupd", CONTENT)
    return tmp_path


@pytest.fixture
def names(stick: Path) -> Path:
    return stick / "p2pupd" / "metadata"


def refused(path: Path, kind: type[UpdateError], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        read_repository(path, LIMITS)
    assert type(caught.value) is kind


def test_a_stick_and_the_repository_on_it_give_the_same_bundle(stick: Path) -> None:
    raw = read_repository(stick, LIMITS)
    assert raw == read_repository(stick / "p2pupd", LIMITS)
    assert wire.decode(raw).files == metadata()


def test_only_what_belongs_together_is_taken_from_a_long_history(names: Path, stick: Path) -> None:
    for version in range(10, 30):
        (names / f"{version}.snapshot.json").write_bytes(signed(version))
    (names / "root.json").write_bytes(b"{}")
    (names / "._timestamp.json").write_bytes(b"left by another system")
    (names / "2.root.json").write_bytes(b"{}")
    assert set(wire.decode(read_repository(stick, LIMITS)).files) == {*metadata(), "2.root.json"}


def test_a_place_without_a_repository_is_not_one(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        refused(path, NotARepository, "holds no p2pupd repository")
    (tmp_path / "p2pupd").mkdir()
    refused(tmp_path, NotARepository, "no metadata/")
    (tmp_path / "p2pupd" / "metadata").mkdir()
    refused(tmp_path, NotARepository, "no metadata/timestamp.json")


@pytest.mark.parametrize("name", ["p2pupd", "p2pupd/metadata", "p2pupd/metadata/1.root.json"])
def test_a_link_anywhere_is_refused(stick: Path, tmp_path: Path, name: str) -> None:
    moved = tmp_path / "moved"
    os.rename(stick / name, moved)
    (stick / name).symlink_to(moved)
    refused(stick, UnsafeMedia, "symbolic link")


@pytest.mark.parametrize("name", ["timestamp.json", "1.snapshot.json", "1.root.json"])
def test_a_fifo_is_refused_and_does_not_hang(names: Path, stick: Path, name: str) -> None:
    (names / name).unlink()
    os.mkfifo(names / name)
    refused(stick, UnsafeMedia, "a FIFO")


@needs_root
def test_a_device_is_refused_and_not_opened(names: Path, stick: Path) -> None:
    (names / "timestamp.json").unlink()
    os.mknod(names / "timestamp.json", 0o020666, os.makedev(1, 5))
    refused(stick, UnsafeMedia, "a character device")


def test_endless_metadata_is_refused_before_it_is_read(names: Path, stick: Path) -> None:
    os.truncate(names / "1.targets.json", 1 << 40)
    refused(stick, UnsafeMedia, f"{1 << 40} bytes; {512 * 1024} are allowed")


def test_too_many_bytes_altogether_are_refused(names: Path, stick: Path) -> None:
    for version in range(2, 20):
        (names / f"{version}.root.json").write_bytes(bytes(300_000))
    refused(stick, UnsafeMedia, "bytes of metadata")


def test_too_many_roots_are_refused(names: Path, stick: Path) -> None:
    for version in range(2, 330):
        (names / f"{version}.root.json").write_bytes(b"")
    with pytest.raises(UnsafeMedia, match="320 files"):
        read_repository(stick, replace(LIMITS, directory_entries=1000))


def test_a_bundle_over_the_limit_by_its_encoding_alone_is_refused(names: Path, stick: Path) -> None:
    taken = sum(len(each) for each in metadata().values())
    for version in range(2, 10):
        size = 512 * 1024 - (taken if version == 9 else 0)
        (names / f"{version}.root.json").write_bytes(bytes(size))
    refused(stick, UnsafeMedia, "over a limit")


def test_a_directory_with_countless_files_is_refused(names: Path, stick: Path) -> None:
    for number in range(101):
        (names / f"junk{number}").touch()
    refused(stick, UnsafeMedia, "over 100 entries")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("timestamp.json", b"", "timestamp.json is not JSON"),
        ("timestamp.json", b"[" * 100_000, "not JSON"),
        ("timestamp.json", b"\xff", "not JSON"),
        ("timestamp.json", b"[]", "not TUF metadata"),
        ("timestamp.json", b'{"signed": []}', "not TUF metadata"),
        ("timestamp.json", b'{"signed": {}}', "names no other"),
        ("timestamp.json", b'{"signed": {"meta": {"snapshot.json": 5}}}', "of version None"),
        ("timestamp.json", b'{"signed": {"meta": {"snapshot.json": {"version": true}}}}', "True"),
        ("timestamp.json", signed(1, snapshot__json=9), "9.snapshot.json is missing"),
        ("1.snapshot.json", b'{"signed": {"meta": {"../x.json": {"version": 1}}}}', "'../x.json'"),
        ("1.snapshot.json", signed(1, targets__json=-1), "of version -1"),
        ("1.snapshot.json", signed(1, gone__json=1), "1.gone.json is missing"),
    ],
)
def test_metadata_that_cannot_be_followed_is_bad_metadata(
    names: Path, stick: Path, name: str, content: bytes, says: str
) -> None:
    (names / name).write_bytes(content)
    refused(stick, MetadataError, says)


def test_a_target_is_read_as_it_is(stick: Path) -> None:
    with open_target(stick, RELEASE) as file:
        assert file.read() == CONTENT
        assert file.seek(99_990) == 99_990
        assert file.read(100) == CONTENT[-10:]
        assert file.tell() == 100_000
        assert file.seekable()


def put(stick: Path, sparse: int) -> None:
    with open(stick / "p2pupd" / target_path(RELEASE), "wb") as file:
        file.truncate(sparse)


@pytest.mark.parametrize("size", [0, 99_999])
def test_a_target_that_was_cut_off_is_called_so(stick: Path, size: int) -> None:
    put(stick, size)
    with pytest.raises(ContentError, match=f"cut off: it has {size} bytes; 100000") as caught:
        open_target(stick, RELEASE)
    assert (caught.value.code, caught.value.reason) == (14, "cut-off")
    assert RELEASE.artifact.sha256 in str(caught.value)


@pytest.mark.parametrize("size", [100_001, 1 << 40])
def test_a_target_of_another_length_is_refused_before_it_is_read(stick: Path, size: int) -> None:
    put(stick, size)
    with pytest.raises(UnsafeMedia, match=f"has {size} bytes; 100000 are signed") as caught:
        open_target(stick, RELEASE)
    assert caught.value.code == 14


def test_a_target_that_the_stick_lacks_says_so(stick: Path) -> None:
    for release in (released(b"other"), replace(RELEASE, target="nowhere/x.img")):
        with pytest.raises(FetchError) as caught:
            open_target(stick, release)
        assert (type(caught.value), caught.value.reason) == (FetchError, "not-on-stick")
        *_, name = release.target.split("/")
        assert f"/{release.artifact.sha256}.{name} is not there" in str(caught.value)


@pytest.mark.parametrize("target", ["../../etc/x", "a//b", "/etc/x", "a/./b", "..", "a/../x"])
def test_a_target_name_that_leads_elsewhere_is_refused(stick: Path, target: str) -> None:
    with pytest.raises(UnsafeMedia):
        open_target(stick, replace(RELEASE, target=target)).close()


def test_links_on_the_way_to_a_target_are_refused(stick: Path, tmp_path: Path) -> None:
    path = stick / "p2pupd" / target_path(RELEASE)
    for each in (path, path.parent, stick / "p2pupd" / "targets"):
        os.rename(each, tmp_path / "moved")
        each.symlink_to(tmp_path / "moved")
        with pytest.raises(UnsafeMedia, match="symbolic link"):
            open_target(stick, RELEASE)
        each.unlink()
        os.rename(tmp_path / "moved", each)


def test_a_stick_that_is_gone_is_gone(stick: Path) -> None:
    gone = Event()
    long = payload(1 << 20)
    write_repository(stick / "p2pupd", long)
    file = open_target(stick, released(long), gone.is_set)
    assert file.read(10) == long[:10]
    gone.set()
    with file, pytest.raises(SourceGone):
        file.read()
    with pytest.raises(SourceGone):
        open_target(stick, RELEASE, gone.is_set)
    os.rename(stick / "p2pupd", stick / "moved")
    with pytest.raises(SourceGone):
        open_target(stick, RELEASE)


def test_a_fingerprint_changes_with_the_repository(stick: Path) -> None:
    first = fingerprint(stick, LIMITS)
    assert first == fingerprint(stick, LIMITS)
    (stick / "p2pupd" / "targets" / "new").mkdir()
    second = fingerprint(stick, LIMITS)
    (stick / "p2pupd" / "targets" / "new" / "file").write_bytes(b"x")
    third = fingerprint(stick, LIMITS)
    assert len({first, second, third}) == 3


def test_a_fingerprint_looks_only_so_deep(stick: Path) -> None:
    before = fingerprint(stick, LIMITS)
    with endless_directories(stick / "p2pupd" / "deep"):
        after = fingerprint(stick, LIMITS)
    assert before is not None
    assert after is not None
    assert len(before) < len(after) <= len(before) + DEEPEST + 1


def test_fingerprints_of_nothing_and_of_the_unreadable(stick: Path, tmp_path: Path) -> None:
    assert fingerprint(tmp_path / "none", LIMITS) is None
    assert len(fingerprint(stick, replace(LIMITS, directory_entries=16)) or ()) <= 16
    os.rename(stick / "p2pupd", stick / "moved")
    assert fingerprint(stick, LIMITS) is None
    (stick / "p2pupd").symlink_to("moved")
    assert (fingerprint(stick, LIMITS) or ("",))[0] == "unreadable"


@pytest.fixture
def layer(stick: Path) -> Path:
    path = stick / "p2pupd" / layer_path(RELEASE)
    path.write_bytes(layer_of(CONTENT))
    return path


def test_a_layer_is_read_as_it_is(stick: Path, layer: Path) -> None:
    assert read_layer(stick, RELEASE) == layer_of(CONTENT)


def test_a_repository_without_layers_has_none(stick: Path) -> None:
    assert read_layer(stick, RELEASE) is None


def test_a_layer_of_another_length_or_kind_is_refused(stick: Path, layer: Path) -> None:
    layer.write_bytes(layer_of(CONTENT) + b"0")
    with pytest.raises(UnsafeMedia, match="bytes; 224 are signed"):
        read_layer(stick, RELEASE)
    layer.unlink()
    layer.symlink_to(stick / "elsewhere")
    with pytest.raises(UnsafeMedia, match="symbolic link"):
        read_layer(stick, RELEASE)
    with pytest.raises(UnsafeMedia):
        read_layer(stick, replace(RELEASE, target="../evil"))


def test_the_layer_of_a_medium_that_left_is_gone_with_it(stick: Path, layer: Path) -> None:
    with pytest.raises(SourceGone):
        read_layer(stick, RELEASE, lambda: True)
    with pytest.raises(SourceGone):
        read_layer(stick / "none", RELEASE)
