"""The store on real disks: full ones, rubbish on them, kills at any moment, many threads."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import BinaryIO, Self, cast

import pytest

from p2pupd.errors import ContentError, FetchError, HostError, SourceGone, SpaceError
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact
from p2pupd.model.setting import Bytes
from p2pupd.store.disk import DiskStore
from p2pupd.store.objects import load_all
from p2pupd.store.settings import StoreSettings
from tests.contents import artifact_of, payload
from tests.support import needs_root

SIZE = 1 << 20
SETTINGS = StoreSettings(quota=Bytes(16 * SIZE), reserve=Bytes(0), max_objects=4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def ignore(_: int) -> None:
    pass


def take_in(store: DiskStore, content: bytes) -> Path:
    artifact = artifact_of(content)
    return store.import_from(artifact, lambda: io.BytesIO(content), ignore) / artifact.pieces_root


def test_rubbish_in_the_store_is_tolerated(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = payload(SIZE)
    path = take_in(DiskStore(root, SETTINGS), content)
    (root / "lost+found").mkdir()
    (root / "file").write_bytes(b"x")
    (root / ("a" * 64)).symlink_to("/etc")
    for digit, sidecar in zip(
        "bcdef0123", [None, "", "[]", "{}", "[" * 9999, '{"schema": 9}', "\0", *odd()], strict=True
    ):
        (root / (digit * 64)).mkdir()
        if sidecar is not None:
            (root / (digit * 64) / "object.json").write_text(sidecar)
    store = DiskStore(root, SETTINGS)
    (found,) = store.objects()
    assert (found.path, found.verified) == (path, True)
    assert sorted(each.name for each in root.iterdir()) == sorted(
        ["lost+found", "file", "a" * 64, artifact_of(content).sha256]
    )
    assert caplog.text.count("store.ignored") == 3
    assert caplog.text.count("store.rubbish-removed") == 9


def odd() -> list[str]:
    """Sidecars that are almost right."""
    right = {
        "schema": 1,
        "length": 5,
        "pieces_root": "a" * 64,
        "piece_length": 16384,
        "verified": True,
        "last_used": 1.0,
    }
    return [
        json.dumps(right | {"pieces_root": "../../x"}),
        json.dumps(right | {"last_used": 10**400}),
    ]


def test_a_verified_mark_without_its_file_does_not_count(root: Path) -> None:
    take_in(DiskStore(root, SETTINGS), payload(SIZE)).unlink()
    store = DiskStore(root, SETTINGS)
    (found,) = store.objects()
    assert not found.verified
    take_in(store, payload(SIZE))


def test_a_verified_file_that_vanishes_meanwhile_is_brought_again(root: Path) -> None:
    store = DiskStore(root, SETTINGS)
    path = take_in(store, payload(SIZE))
    path.unlink()
    assert take_in(store, payload(SIZE)) == path
    assert path.read_bytes() == payload(SIZE)


def test_another_description_of_the_same_bytes_starts_anew(root: Path) -> None:
    store = DiskStore(root, SETTINGS)
    content = payload(SIZE)
    path = take_in(store, content)
    other = replace(artifact_of(content), pieces_root=Sha256("5" * 64))
    directory = store.import_from(other, lambda: io.BytesIO(content), ignore)
    assert (directory / ("5" * 64)).read_bytes() == content
    assert not path.exists()
    (found,) = store.objects()
    assert found.artifact == other


def test_another_piece_length_keeps_the_bytes(root: Path) -> None:
    store = DiskStore(root, SETTINGS)
    content = payload(SIZE)
    path = take_in(store, content)
    other = replace(artifact_of(content), piece_length=1 << 15)
    assert store.place(other) == path.parent
    (found,) = DiskStore(root, SETTINGS).objects()
    assert (found.artifact, found.verified) == (other, True)


def test_what_the_swarm_left_is_used_up_to_its_first_hole(root: Path) -> None:
    store = DiskStore(root, SETTINGS)
    content = payload(4 * SIZE)
    artifact = artifact_of(content)
    path = store.place(artifact) / artifact.pieces_root
    with open(path, "wb") as file:
        file.write(content[:SIZE])
        file.seek(3 * SIZE)
        file.write(content[3 * SIZE :])
    seen: list[int] = []
    store.import_from(artifact, lambda: io.BytesIO(content), seen.append)
    assert seen[0] == SIZE
    assert path.read_bytes() == content


def test_a_start_that_is_wrong_is_copied_again(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = DiskStore(root, SETTINGS)
    content = payload(2 * SIZE)
    artifact = artifact_of(content)
    path = store.place(artifact) / artifact.pieces_root
    path.write_bytes(payload(SIZE, seed=2))
    take_in(store, content)
    assert path.read_bytes() == content
    assert "store.start-over" in caplog.text


class Plain:
    """A source that can only be read, as the contract allows."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._content.close()

    def seekable(self) -> bool:
        return False

    def read(self, most: int) -> bytes:
        return self._content.read(min(most, 1000))


def test_a_source_that_cannot_seek_is_copied_from_its_start(root: Path) -> None:
    store = DiskStore(root, SETTINGS)
    content = payload(SIZE)
    artifact = artifact_of(content)
    (store.place(artifact) / artifact.pieces_root).write_bytes(content[:1000])
    store.import_from(artifact, lambda: cast(BinaryIO, Plain(content)), ignore)
    with pytest.raises(ContentError, match="ends after 5 of"):
        store.import_from(
            artifact_of(payload(SIZE, 3)), lambda: cast(BinaryIO, Plain(b"short")), ignore
        )


class Failing(io.BytesIO):
    """A source whose medium fails with this error number."""

    def __init__(self, content: bytes, number: int) -> None:
        super().__init__(content)
        self._number = number

    def readinto(self, buffer: object) -> int:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize(("number", "kind"), [(5, SourceGone), (19, SourceGone), (13, FetchError)])
def test_errors_of_the_medium_are_told_apart(
    root: Path, number: int, kind: type[FetchError]
) -> None:
    content = payload(SIZE)
    with pytest.raises(kind) as caught:
        DiskStore(root, SETTINGS).import_from(
            artifact_of(content), lambda: Failing(content, number), ignore
        )
    assert type(caught.value) is kind


def test_no_more_objects_than_allowed(root: Path) -> None:
    ticks = count(1)
    store = DiskStore(root, SETTINGS, now=lambda: float(next(ticks)))
    artifacts = [artifact_of(payload(1000, seed)) for seed in range(6)]
    for each in artifacts[:5]:
        store.place(each)
    assert store.find(artifacts[0].sha256) is None
    assert len(store.objects()) == 4
    store.protect(frozenset(each.artifact.sha256 for each in store.objects()))
    with pytest.raises(SpaceError, match="max_objects is 4"):
        store.place(artifacts[5])


def test_what_is_being_copied_is_not_evicted_and_may_be_removed(root: Path) -> None:
    store = DiskStore(root, replace(SETTINGS, quota=Bytes(3 * SIZE)))
    content = payload(2 * SIZE)
    artifact = artifact_of(content)

    def greedy(done: int) -> None:
        if done == len(content):
            with pytest.raises(SpaceError):
                store.place(artifact_of(payload(2 * SIZE, seed=2)))
            store.remove(artifact.sha256)

    with pytest.raises((FetchError, HostError), match=r"removed while|No such file"):
        store.import_from(artifact, lambda: io.BytesIO(content), greedy)
    assert store.objects() == ()


def test_what_progress_raises_ends_the_copy_and_keeps_it(root: Path) -> None:
    store = DiskStore(root, SETTINGS)
    content = payload(3 * SIZE)

    def stop(done: int) -> None:
        if done >= SIZE:
            raise FetchError("stopped")

    with pytest.raises(FetchError, match="stopped"):
        store.import_from(artifact_of(content), lambda: io.BytesIO(content), stop)
    seen: list[int] = []
    store.import_from(artifact_of(content), lambda: io.BytesIO(content), seen.append)
    assert seen[0] == SIZE


def test_many_threads_bring_the_same_artifact_once(root: Path) -> None:
    store = DiskStore(root, SETTINGS)
    content = payload(2 * SIZE)
    artifact = artifact_of(content)
    opened: list[int] = []

    def source() -> BinaryIO:
        opened.append(threading.get_ident())
        return io.BytesIO(content)

    with ThreadPoolExecutor(6) as threads:
        done = [threads.submit(store.import_from, artifact, source, ignore) for _ in range(6)]
        assert len({each.result() for each in done}) == 1
    assert len(opened) == 1


def test_many_threads_with_different_artifacts_keep_to_the_quota(root: Path) -> None:
    store = DiskStore(root, replace(SETTINGS, quota=Bytes(4 * SIZE), max_objects=50))

    def bring(seed: int) -> None:
        content = payload(SIZE, seed)
        try:
            take_in(store, content)
        except SpaceError:
            return
        assert store.usage().used <= 4 * SIZE

    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(bring, seed) for seed in range(12)]:
            each.result()
    assert 0 < store.usage().used <= 4 * SIZE


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", point], check=True)
    yield point
    subprocess.run(["umount", "-l", point], check=True)


@needs_root
def test_a_small_disk_refuses_before_a_payload_byte_is_written(small_disk: Path) -> None:
    store = DiskStore(small_disk / "store", replace(SETTINGS, reserve=Bytes(SIZE)))
    with pytest.raises(SpaceError, match=r"needs 3\.5 MiB .* 1\.0 MiB stay reserved") as caught:
        take_in(store, payload(7 * SIZE // 2))
    assert caught.value.code == 60
    assert list((small_disk / "store").iterdir()) == []
    take_in(store, payload(2 * SIZE))
    assert store.usage().free <= 3 * SIZE


@needs_root
def test_a_disk_that_fills_up_meanwhile_keeps_what_was_copied(small_disk: Path) -> None:
    store = DiskStore(small_disk / "store", SETTINGS)
    content = payload(3 * SIZE)

    def fill(done: int) -> None:
        if done == SIZE:
            (small_disk / "other").write_bytes(bytes(2 * SIZE))

    with pytest.raises(SpaceError):
        store.import_from(artifact_of(content), lambda: io.BytesIO(content), fill)
    (small_disk / "other").unlink()
    assert take_in(store, content).read_bytes() == content


COPIER = """
import io, sys
from pathlib import Path
from p2pupd.store.disk import DiskStore
from p2pupd.store.objects import load_all
from p2pupd.store.settings import StoreSettings
from tests.contents import artifact_of, payload
content = payload(48 << 20)
def progress(done):
    print(done, flush=True)
store = DiskStore(Path(sys.argv[1]), StoreSettings())
store.import_from(artifact_of(content), lambda: io.BytesIO(content), progress)
print("end", flush=True)
"""


@pytest.mark.parametrize("lines", [1, 20, 40, 50])
def test_a_kill_leaves_a_resumable_object_or_a_verified_one(root: Path, lines: int) -> None:
    copier = subprocess.Popen(
        [sys.executable, "-c", COPIER, str(root)], stdout=subprocess.PIPE, text=True
    )
    assert copier.stdout is not None
    said = ""
    for _ in range(lines):
        said = copier.stdout.readline().strip() or said
    copier.send_signal(signal.SIGKILL)
    copier.stdout.close()
    copier.wait()
    content = payload(48 << 20)
    artifact: Artifact = artifact_of(content)
    store = DiskStore(root, StoreSettings())
    (left,) = store.objects()
    seen: list[int] = []
    store.import_from(artifact, lambda: io.BytesIO(content), seen.append)
    if not left.verified:
        assert seen[0] >= int(said)
    assert (store.verify(artifact) / artifact.pieces_root).read_bytes() == content


def test_a_store_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError, match="make the directory"):
        DiskStore(tmp_path / "file" / "store", SETTINGS)


def test_a_link_in_the_payloads_place_is_not_followed(root: Path, tmp_path: Path) -> None:
    store = DiskStore(root, SETTINGS)
    artifact = artifact_of(payload(SIZE))
    (tmp_path / "outside").write_bytes(b"safe")
    (store.place(artifact) / artifact.pieces_root).symlink_to(tmp_path / "outside")
    with pytest.raises(HostError):
        take_in(store, payload(SIZE))
    with pytest.raises(ContentError):
        store.verify(artifact)
    assert (tmp_path / "outside").read_bytes() == b"safe"


def test_trouble_with_the_disk_has_the_path_in_it(root: Path) -> None:
    store = DiskStore(root, SETTINGS)
    artifact = artifact_of(payload(SIZE))
    path = store.place(artifact) / artifact.pieces_root
    path.mkdir()
    with pytest.raises(HostError, match=f"cannot write {path}"):
        take_in(store, payload(SIZE))
    with pytest.raises(HostError, match="cannot read the store"):
        list(load_all(root / "none"))
