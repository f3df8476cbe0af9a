"""The contract of store/interface.py, over every backend."""

import io
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from p2pupd.errors import ContentError, FetchError, SourceGone, SpaceError
from p2pupd.model.ids import Sha256
from p2pupd.model.setting import Bytes
from p2pupd.store.disk import DiskStore
from p2pupd.store.interface import Store
from p2pupd.store.settings import StoreSettings
from tests.contents import artifact_of, payload

SIZE = 1 << 20
QUOTA = Bytes(4 * SIZE + (64 << 10))

Open = Callable[[], Store]


@pytest.fixture(params=["disk"])
def reopen(tmp_path: Path) -> Open:
    """Opens the same store again, as after a restart. Its clock ticks once per look."""
    ticks = count(1)
    settings = StoreSettings(quota=QUOTA, reserve=Bytes(0), max_objects=8)
    return lambda: DiskStore(tmp_path / "store", settings, now=lambda: float(next(ticks)))


def ignore(_: int) -> None:
    pass


def take_in(store: Store, content: bytes) -> Path:
    return store.import_from(artifact_of(content), lambda: io.BytesIO(content), ignore)


def test_an_imported_artifact_is_verified_after_a_restart(reopen: Open) -> None:
    content = payload(3 * SIZE + 5)
    artifact = artifact_of(content)
    seen: list[int] = []
    directory = reopen().import_from(artifact, lambda: io.BytesIO(content), seen.append)
    assert (directory / artifact.pieces_root).read_bytes() == content
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, len(content))
    found = reopen().find(artifact.sha256)
    assert found is not None
    assert (found.verified, found.artifact) == (True, artifact)
    assert found.path == directory / artifact.pieces_root


def test_importing_twice_copies_once(reopen: Open) -> None:
    store, content = reopen(), payload(SIZE)
    directory = take_in(store, content)

    def closed() -> io.BytesIO:
        raise SourceGone("nobody asks the source again")

    assert store.import_from(artifact_of(content), closed, ignore) == directory


def test_a_file_of_the_swarm_becomes_verified(reopen: Open) -> None:
    content = payload(SIZE)
    artifact = artifact_of(content)
    directory = reopen().place(artifact)
    (directory / artifact.pieces_root).write_bytes(content)
    store = reopen()
    (incoming,) = store.objects()
    assert not incoming.verified
    assert store.verify(artifact) == directory
    (stored,) = reopen().objects()
    assert stored.verified


def test_a_file_whose_pieces_were_proved_is_verified_without_reading_it(reopen: Open) -> None:
    content = payload(SIZE)
    artifact = artifact_of(content)
    directory = reopen().place(artifact)
    (directory / artifact.pieces_root).write_bytes(content)
    assert reopen().proved(artifact) == directory
    (stored,) = reopen().objects()
    assert stored.verified
    assert reopen().verify(artifact) == directory


def test_a_file_that_is_too_short_was_not_proved(reopen: Open) -> None:
    store, artifact = reopen(), artifact_of(payload(SIZE))
    (store.place(artifact) / artifact.pieces_root).write_bytes(b"short")
    with pytest.raises(FetchError):
        store.proved(artifact)
    (incoming,) = store.objects()
    assert not incoming.verified


@pytest.mark.parametrize("wrong", [payload(SIZE, seed=2), payload(SIZE)[:-1], b"", None])
def test_what_is_not_as_signed_is_deleted(reopen: Open, wrong: bytes | None) -> None:
    store, artifact = reopen(), artifact_of(payload(SIZE))
    path = store.place(artifact) / artifact.pieces_root
    if wrong is not None:
        path.write_bytes(wrong)
    with pytest.raises(ContentError):
        store.verify(artifact)
    assert store.find(artifact.sha256) is None
    assert not path.exists()
    assert reopen().objects() == ()


def test_a_verified_file_that_rots_is_found_out(reopen: Open) -> None:
    store, content = reopen(), payload(SIZE)
    artifact = artifact_of(content)
    path = take_in(store, content) / artifact.pieces_root
    path.write_bytes(payload(SIZE, seed=2))
    with pytest.raises(ContentError, match="SHA-256"):
        store.verify(artifact)


class Pulled(io.BytesIO):
    """A stick that is pulled after so many bytes."""

    def __init__(self, content: bytes, after: int) -> None:
        super().__init__(content)
        self.left = after

    def readinto(self, buffer: object) -> int:
        if self.left <= 0:
            raise SourceGone("pulled")
        count = super().readinto(buffer)  # type: ignore[arg-type]
        self.left -= count
        return count


def test_a_pulled_stick_goes_on_where_it_was(reopen: Open) -> None:
    content = payload(3 * SIZE)
    artifact = artifact_of(content)
    with pytest.raises(SourceGone):
        reopen().import_from(artifact, lambda: Pulled(content, 2 * SIZE), ignore)
    seen: list[int] = []
    again = Pulled(content, SIZE)
    reopen().import_from(artifact, lambda: again, seen.append)
    assert seen[0] == 2 * SIZE
    assert again.left == 0


def test_wrong_bytes_leave_nothing(reopen: Open) -> None:
    store, artifact = reopen(), artifact_of(payload(SIZE))
    with pytest.raises(ContentError, match="tampered"):
        store.import_from(artifact, lambda: io.BytesIO(payload(SIZE, seed=2)), ignore)
    assert store.objects() == ()
    assert store.usage().used == 0


@pytest.mark.parametrize("length", [SIZE - 1, SIZE + 1, 0])
def test_a_source_of_another_length_is_refused_before_it_is_read(reopen: Open, length: int) -> None:
    store, artifact = reopen(), artifact_of(payload(SIZE))
    source = Pulled(payload(length), 0)
    with pytest.raises(ContentError, match=f"{length} bytes and {SIZE} are signed"):
        store.import_from(artifact, lambda: source, ignore)
    assert store.objects() == ()


def test_a_bad_source_costs_nothing_of_what_a_good_one_brought(reopen: Open) -> None:
    store, content = reopen(), payload(3 * SIZE)
    artifact = artifact_of(content)
    with pytest.raises(SourceGone):
        store.import_from(artifact, lambda: Pulled(content, SIZE), ignore)
    with pytest.raises(ContentError):
        store.import_from(artifact, lambda: io.BytesIO(b"short"), ignore)
    seen: list[int] = []
    store.import_from(artifact, lambda: io.BytesIO(content), seen.append)
    assert seen[0] == SIZE


def test_what_does_not_fit_is_refused_before_a_byte_is_written(reopen: Open) -> None:
    store, artifact = reopen(), artifact_of(payload(QUOTA + 1))
    with pytest.raises(SpaceError, match=r"needs 4\.1 MiB .* at most 4\.1 MiB can be made free"):
        store.place(artifact)
    with pytest.raises(SpaceError):
        store.import_from(artifact, lambda: Pulled(payload(QUOTA + 1), 0), ignore)
    assert store.objects() == ()


def test_the_longest_unused_goes_first_and_the_protected_stay(reopen: Open) -> None:
    store = reopen()
    contents = [payload(SIZE, seed) for seed in range(4)]
    a, b, c, d = (artifact_of(each) for each in contents)
    for content in contents[:3]:
        take_in(store, content)
    store.place(a)
    store.protect(frozenset({c.sha256}))
    big = payload(2 * SIZE, seed=9)
    take_in(store, big)
    kept = {each.artifact.sha256 for each in store.objects()}
    assert kept == {a.sha256, c.sha256, artifact_of(big).sha256}
    store.protect(frozenset(kept))
    with pytest.raises(SpaceError):
        store.place(d)
    assert {each.artifact.sha256 for each in store.objects()} == kept
    assert b.sha256 not in kept


def test_what_is_to_go_last_goes_when_nothing_else_is_left(reopen: Open) -> None:
    store = reopen()
    previous, installed, other = (payload(SIZE, seed) for seed in range(3))
    for content in (previous, installed, other):
        take_in(store, content)
    last = frozenset(artifact_of(each).sha256 for each in (previous, installed))
    store.protect(frozenset(), last)
    assert store.usage().free == QUOTA
    take_in(store, payload(2 * SIZE, seed=7))
    kept = {each.artifact.sha256 for each in store.objects()}
    assert last < kept
    assert artifact_of(other).sha256 not in kept
    store.protect(frozenset(kept - last), last)
    take_in(store, payload(SIZE, seed=8))
    assert last - {each.artifact.sha256 for each in store.objects()} == {
        artifact_of(previous).sha256
    }


def test_what_is_on_its_way_keeps_its_room(reopen: Open) -> None:
    store = reopen()
    first, second = artifact_of(payload(3 * SIZE, 1)), artifact_of(payload(2 * SIZE, 2))
    store.protect(frozenset({first.sha256}))
    store.place(first)
    assert store.usage().free <= SIZE + (64 << 10)
    with pytest.raises(SpaceError):
        store.place(second)


def test_usage_counts_what_may_be_evicted_as_free(reopen: Open) -> None:
    store = reopen()
    content = payload(SIZE)
    take_in(store, content)
    usage = store.usage()
    assert usage.quota == QUOTA
    assert SIZE <= usage.used < SIZE + (64 << 10)
    assert usage.free == QUOTA
    store.protect(frozenset({artifact_of(content).sha256}))
    assert store.usage().free == QUOTA - usage.used


def test_removing_is_for_good_and_twice_is_fine(reopen: Open) -> None:
    store, content = reopen(), payload(SIZE)
    directory = take_in(store, content)
    store.remove(artifact_of(content).sha256)
    store.remove(Sha256("0" * 64))
    assert not directory.exists()
    assert reopen().objects() == ()
