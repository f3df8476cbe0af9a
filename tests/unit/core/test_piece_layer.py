"""A layer proves pieces, and the signed root proves the layer."""

import hashlib
from pathlib import Path

import libtorrent as lt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pupd.core.merkle import BLOCK, PiecesRoot
from p2pupd.core.piece_layer import (
    HASH,
    LayerBuilder,
    PieceLayer,
    hash_of_piece,
    layer_length,
    length_of_piece,
)
from p2pupd.errors import ContentError
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact


def artifact_of(content: bytes, piece_length: int) -> Artifact:
    root = PiecesRoot()
    root.update(content)
    digest = Sha256(hashlib.sha256(content).hexdigest())
    return Artifact(len(content), digest, Sha256(root.digest().hex()), piece_length)


def layer_of(content: bytes, piece_length: int, chunk: int = 100_000) -> bytes:
    builder = LayerBuilder(piece_length)
    for at in range(0, len(content), chunk):
        builder.update(content[at : at + chunk])
    return builder.layer()


@given(
    length=st.integers(1, 40 * BLOCK),
    piece_length=st.sampled_from([BLOCK, 2 * BLOCK, 4 * BLOCK, 16 * BLOCK]),
    chunk=st.integers(1000, 200_000),
)
def test_a_layer_follows_from_the_content_and_proves_every_piece(
    length: int, piece_length: int, chunk: int
) -> None:
    content = (b"p2pupd" * (length // 6 + 1))[:length]
    artifact = artifact_of(content, piece_length)
    layer = PieceLayer.proved(artifact, layer_of(content, piece_length, chunk))
    for piece in range(artifact.pieces):
        part = content[piece * piece_length : (piece + 1) * piece_length]
        assert layer.matches(piece, part)
        assert not layer.matches(piece, part[:-1] + bytes([part[-1] ^ 1]))
        assert not layer.matches(piece, part + b"x")
    assert not layer.matches(artifact.pieces, b"")


@pytest.mark.parametrize("pieces", [2, 3, 9])
def test_the_layer_is_the_one_that_libtorrent_makes(pieces: int, tmp_path: Path) -> None:
    directory = tmp_path
    content = bytes(range(256)) * (pieces * 128) + b"end"
    (directory / "file").write_bytes(content)
    torrent = lt.create_torrent(
        [lt.create_file_entry("file", len(content))], 2 * BLOCK, lt.create_torrent.v2_only
    )
    lt.set_piece_hashes(torrent, str(directory))
    layers = torrent.generate()[b"piece layers"]
    assert layers is not None
    assert list(layers.values()) == [layer_of(content, 2 * BLOCK)]


def test_a_layer_of_something_else_is_refused() -> None:
    content = bytes(5 * BLOCK)
    artifact = artifact_of(content, BLOCK)
    raw = layer_of(content, BLOCK)
    with pytest.raises(ContentError, match="does not belong"):
        PieceLayer.proved(artifact, raw[:-1] + b"x")
    with pytest.raises(ContentError, match="160 are right"):
        PieceLayer.proved(artifact, raw[:-HASH])


def test_lengths_of_pieces_and_layers() -> None:
    artifact = artifact_of(bytes(2 * BLOCK + 5), BLOCK)
    assert [length_of_piece(artifact, piece) for piece in (-1, 0, 2, 3)] == [0, BLOCK, 5, 0]
    assert layer_length(artifact) == 3 * HASH
    assert hash_of_piece(artifact, b"12345") == hashlib.sha256(b"12345").digest()


def test_nothing_has_no_layer() -> None:
    with pytest.raises(ValueError, match="empty"):
        LayerBuilder(BLOCK).layer()
