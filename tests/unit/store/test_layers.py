"""Piece layers in the store, and trimming it."""

import io
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from p2pupd.core.merkle import PiecesRoot
from p2pupd.core.piece_layer import PieceLayer
from p2pupd.errors import ContentError, HostError
from p2pupd.host.layer_files import kept_layer, layer_of_file
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact
from p2pupd.model.setting import Bytes
from p2pupd.store.disk import DiskStore
from p2pupd.store.settings import StoreSettings
from tests.contents import artifact_of, payload

SIZE = 300_000


def signed(content: bytes) -> Artifact:
    """With its true pieces root."""
    tree = PiecesRoot()
    tree.update(content)
    plain = artifact_of(content)
    return Artifact(plain.length, plain.sha256, Sha256(tree.digest().hex()), plain.piece_length)


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    ticks = count(1)
    settings = StoreSettings(reserve=Bytes(0))
    return DiskStore(tmp_path / "store", settings, now=lambda: float(next(ticks)))


def take_in(store: DiskStore, content: bytes, artifact: Artifact | None = None) -> Artifact:
    artifact = artifact or signed(content)
    store.import_from(artifact, lambda: io.BytesIO(content), lambda _: None)
    return artifact


def test_a_verified_file_has_a_layer_that_its_root_proves(store: DiskStore) -> None:
    content = payload(SIZE)
    artifact = take_in(store, content)
    raw = store.layer(artifact.sha256)
    assert raw is not None
    layer = PieceLayer.proved(artifact, raw)
    assert layer.matches(1, content[16384:32768])


def test_the_layer_is_computed_once_and_kept_beside_the_file(store: DiskStore) -> None:
    artifact = take_in(store, payload(SIZE))
    raw = store.layer(artifact.sha256)
    stored = store.find(artifact.sha256)
    assert stored is not None
    kept = stored.path.with_name(f"{artifact.pieces_root}.layer")
    assert kept.read_bytes() == raw
    used = store.usage().used
    stored.path.write_bytes(bytes(SIZE))
    assert store.layer(artifact.sha256) == raw
    assert used > SIZE
    store.remove(artifact.sha256)
    assert not kept.exists()


@pytest.mark.parametrize("damage", [b"", b"short", bytes(19 * 32)])
def test_a_damaged_layer_is_computed_again(store: DiskStore, damage: bytes) -> None:
    artifact = take_in(store, payload(SIZE))
    raw = store.layer(artifact.sha256)
    stored = store.find(artifact.sha256)
    assert stored is not None
    stored.path.with_name(f"{artifact.pieces_root}.layer").write_bytes(damage)
    assert store.layer(artifact.sha256) == raw


def test_what_is_not_verified_has_no_layer(store: DiskStore) -> None:
    artifact = signed(payload(SIZE))
    assert store.layer(artifact.sha256) is None
    directory = store.place(artifact)
    (directory / artifact.pieces_root).write_bytes(payload(SIZE))
    assert store.layer(artifact.sha256) is None


def test_a_file_that_contradicts_its_root_is_read_for_that_once(store: DiskStore) -> None:
    content = payload(SIZE)
    wrong = replace(artifact_of(content), pieces_root=artifact_of(b"other").pieces_root)
    artifact = take_in(store, content, wrong)
    assert store.layer(artifact.sha256) is None
    stored = store.find(artifact.sha256)
    assert stored is not None
    stored.path.unlink()
    assert store.layer(artifact.sha256) is None


def test_a_file_that_is_gone_or_empty_has_no_layer(tmp_path: Path) -> None:
    artifact = signed(payload(SIZE))
    with pytest.raises(HostError):
        layer_of_file(artifact, tmp_path)
    (tmp_path / artifact.pieces_root).touch()
    with pytest.raises(ContentError, match="empty"):
        layer_of_file(artifact, tmp_path)
    assert kept_layer(artifact, tmp_path) is None


def test_trimming_deletes_the_oldest_use_first_and_nothing_that_is_protected(
    store: DiskStore,
) -> None:
    first, second, third = (take_in(store, payload(SIZE, seed)) for seed in (1, 2, 3))
    store.place(first)
    store.protect(frozenset({second.sha256}))
    assert store.trim(10 * SIZE) == ()
    (gone,) = store.trim(store.usage().used - 1)
    assert gone.artifact == third
    (gone,) = store.trim(0)
    assert gone.artifact == first
    assert [each.artifact for each in store.objects()] == [second]
