"""The pieces root must be libtorrent's own, whatever the file's size and however it is read."""

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pupd.core.merkle import (
    BLOCK,
    LONGEST_PIECE,
    PiecesRoot,
    piece_length_for,
    piece_length_of_pack,
)

MIB = 1 << 20
GIB = 1 << 30


def by_libtorrent(path: Path, piece_length: int) -> bytes:
    files = [lt.create_file_entry(path.name, path.stat().st_size, 0, 0, "")]
    torrent = lt.create_torrent(files, piece_length, lt.create_torrent.v2_only)
    lt.set_piece_hashes(torrent, str(path.parent))
    info: Any = torrent.generate()[b"info"]
    root: bytes = info[b"file tree"][path.name.encode()][b""][b"pieces root"]
    return root


def content_of(size: int, seed: int = 0) -> bytes:
    """Bytes without a pattern of 16 KiB, the same for the same numbers."""
    return hashlib.shake_256(f"{size} {seed}".encode()).digest(size)


def ours(content: bytes) -> bytes:
    root = PiecesRoot()
    root.update(content)
    return root.digest()


@pytest.mark.parametrize(
    "size",
    [
        1,
        16383,
        16384,
        16385,
        2 * BLOCK,
        2 * BLOCK + 1,
        3 * BLOCK,
        65535,
        65536,
        65537,
        5 * 65536,
        5 * 65536 - 1,
        7 * 65536 + BLOCK + 3,
        MIB,
        3 * MIB + 5,
    ],
)
def test_root_is_what_libtorrent_computes(tmp_path: Path, size: int) -> None:
    image = tmp_path / "image"
    image.write_bytes(content_of(size))
    for piece_length in (BLOCK, 4 * BLOCK, 16 * BLOCK):
        assert ours(image.read_bytes()) == by_libtorrent(image, piece_length)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 700_000), exponent=st.integers(0, 4), seed=st.integers(0, 9))
def test_root_is_libtorrents_for_any_size(
    tmp_path_factory: pytest.TempPathFactory, size: int, exponent: int, seed: int
) -> None:
    image = tmp_path_factory.getbasetemp() / "any-size"
    image.write_bytes(content_of(size, seed))
    assert ours(image.read_bytes()) == by_libtorrent(image, BLOCK << exponent)


@settings(deadline=None)
@given(
    size=st.integers(1, 200_000),
    cuts=st.lists(st.integers(0, 200_000), max_size=12),
    kind=st.sampled_from([bytes, bytearray, memoryview]),
)
def test_root_does_not_depend_on_how_the_file_is_cut(
    size: int, cuts: list[int], kind: type[bytes] | type[bytearray] | type[memoryview]
) -> None:
    content = content_of(size)
    edges = [0, *sorted(cut for cut in cuts if cut < size), size]
    root = PiecesRoot()
    for start, end in pairwise(edges):
        root.update(kind(content[start:end]))
    assert root.digest() == ours(content)


def test_asking_for_the_root_early_changes_nothing() -> None:
    content = content_of(3 * BLOCK + 7)
    root = PiecesRoot()
    root.update(content[:20_000])
    assert root.digest() == ours(content[:20_000])
    root.update(content[20_000:])
    assert root.digest() == root.digest() == ours(content)


def test_a_file_of_one_block_has_its_hash_as_root() -> None:
    assert ours(b"small") == hashlib.sha256(b"small").digest()


def test_an_empty_file_has_no_root() -> None:
    root = PiecesRoot()
    root.update(b"")
    with pytest.raises(ValueError, match="empty"):
        root.digest()


@pytest.mark.parametrize(
    ("length", "piece"),
    [
        (1, BLOCK),
        (4 * MIB, BLOCK),
        (256 * MIB, BLOCK),
        (256 * MIB + 1, 32 * 1024),
        (GIB, 64 * 1024),
        (GIB + 1, 128 * 1024),
        (2 * GIB, 128 * 1024),
        (3 * GIB, 256 * 1024),
        (256 * GIB, LONGEST_PIECE),
        (1024 * GIB, LONGEST_PIECE),
    ],
)
def test_piece_length_follows_the_rule(length: int, piece: int) -> None:
    assert piece_length_for(length) == piece


@given(length=st.integers(1, 1 << 40))
def test_piece_length_is_a_power_of_two_and_pieces_stay_few(length: int) -> None:
    piece = piece_length_for(length)
    assert piece & (piece - 1) == 0
    assert BLOCK <= piece <= LONGEST_PIECE
    assert -(-length // piece) <= 16384 or piece == LONGEST_PIECE


@pytest.mark.parametrize(
    ("length", "piece"),
    [
        (1, 16384),
        (64 * MIB, 16384),
        (64 * MIB + 1, 32768),
        (128 * MIB, 32768),
        (128 * MIB + 1, 65536),
        (GIB, 65536),
        (GIB + 1, 131072),
        (1 << 40, LONGEST_PIECE),
    ],
)
def test_pieces_of_packs_are_fewer_and_longer(length: int, piece: int) -> None:
    assert piece_length_of_pack(length) == piece
