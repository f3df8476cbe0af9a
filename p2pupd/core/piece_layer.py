"""The hashes of an artifact's pieces (the piece layer of BEP 52), proved by its signed root.

With them every piece can be checked by itself, whoever sent it and over whatever it came. Encoded
as the specification stores it: 32 bytes for each piece, in order. An artifact of a single piece has
no layer there; here it is the pieces root itself, so that every artifact has one.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from p2pupd.core.merkle import BLOCK, PADDING, PiecesRoot
from p2pupd.errors import ContentError
from p2pupd.model.release import Artifact

HASH: Final = 32
"""Bytes of one hash."""

SUFFIX: Final = ".layer"
"""A file's encoded layer lies beside it, under its name with this at the end."""

Bytelike = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class PieceLayer:
    """Made by `proved`: `hashes` are right, because the signed root follows from them."""

    artifact: Artifact
    hashes: bytes

    @classmethod
    def proved(cls, artifact: Artifact, raw: bytes) -> Self:
        """The layer `raw` of `artifact`. Raises ContentError where it is not that one's."""
        expected = layer_length(artifact)
        if len(raw) != expected:
            raise ContentError(f"the piece layer has {len(raw)} bytes; {expected} are right")
        root = _root_above(raw, _level(artifact.piece_length))
        if root.hex() != artifact.pieces_root:
            raise ContentError("the piece layer does not belong to the signed pieces root")
        return cls(artifact, raw)

    def matches(self, piece: int, content: Bytelike) -> bool:
        """Whether `content` is piece number `piece`, whole."""
        artifact = self.artifact
        if not content or len(content) != length_of_piece(artifact, piece):
            return False
        wanted = self.hashes[piece * HASH : (piece + 1) * HASH]
        return hash_of_piece(artifact, content) == wanted


class LayerBuilder:
    """Give it a file's bytes in order, in chunks of any size; it keeps one hash for each piece."""

    def __init__(self, piece_length: int) -> None:
        self._piece_length = piece_length
        self._hashes = bytearray()
        self._piece = PiecesRoot()
        self._filled = 0

    def update(self, chunk: Bytelike) -> None:
        """The next bytes of the file."""
        view = memoryview(chunk).cast("B")
        while view:
            taken = view[: self._piece_length - self._filled]
            self._piece.update(taken)
            self._filled += len(taken)
            view = view[len(taken) :]
            if self._filled == self._piece_length:
                self._hashes += self._piece.digest()
                self._piece, self._filled = PiecesRoot(), 0

    def layer(self) -> bytes:
        """The encoded layer of what was given. Raises ValueError when that is nothing."""
        if not self._filled:
            if not self._hashes:
                raise ValueError("an empty file has no pieces")
            return bytes(self._hashes)
        if not self._hashes:
            return self._piece.digest()
        blocks = -(-self._filled // BLOCK)
        padded = _padded(self._piece.digest(), blocks, _level(self._piece_length))
        return bytes(self._hashes) + padded

    def root(self) -> bytes:
        """The pieces root of what was given. Raises ValueError when that is nothing."""
        return _root_above(self.layer(), _level(self._piece_length))


def layer_length(artifact: Artifact) -> int:
    """Bytes of the artifact's encoded layer."""
    return HASH * artifact.pieces


def length_of_piece(artifact: Artifact, piece: int) -> int:
    """Bytes of piece number `piece`: the last one may be shorter; 0 where there is no such one."""
    if not 0 <= piece < artifact.pieces:
        return 0
    return min(artifact.piece_length, artifact.length - piece * artifact.piece_length)


def hash_of_piece(artifact: Artifact, content: Bytelike) -> bytes:
    """The hash in the layer of a piece with that content."""
    if artifact.piece_length == BLOCK:
        return hashlib.sha256(content).digest()
    tree = PiecesRoot()
    tree.update(content)
    if artifact.pieces == 1:
        return tree.digest()
    blocks = -(-len(content) // BLOCK)
    return _padded(tree.digest(), blocks, _level(artifact.piece_length))


def _level(piece_length: int) -> int:
    """The level of the tree whose nodes are pieces; 0 are the blocks."""
    return (piece_length // BLOCK).bit_length() - 1


def _padded(root: bytes, blocks: int, level: int) -> bytes:
    """The hash at `level` above `blocks` leaves whose own root is `root`, the rest empty."""
    for below in range((blocks - 1).bit_length(), level):
        root = hashlib.sha256(root + PADDING[below]).digest()
    return root


def _root_above(hashes: bytes, level: int) -> bytes:
    """The root of the tree whose nodes at `level` are `hashes`, filled up with empty subtrees."""
    row = [hashes[at : at + HASH] for at in range(0, len(hashes), HASH)]
    while len(row) > 1:
        if len(row) % 2:
            row.append(PADDING[level])
        pairs = zip(row[::2], row[1::2], strict=True)
        row = [hashlib.sha256(left + right).digest() for left, right in pairs]
        level += 1
    return row[0]
