"""The pieces root of BitTorrent v2 (BEP 52), computed while a file streams by, and how long its
pieces should be.

The root is that of a binary SHA-256 tree over blocks of 16 KiB, filled up with all-zero leaves to
a power of two. It does not depend on the piece length.
"""

import hashlib
from itertools import accumulate, repeat
from typing import Final

BLOCK: Final = 16 * 1024
LEVELS: Final = 50
"""More than any file has: 2**50 blocks are 16 EiB."""

MOST_PIECES: Final = 16 * 1024
LONGEST_PIECE: Final = 16 * 1024 * 1024

PIECES_OF_PACK: Final = 4096
LONGEST_OF_PACK: Final = 64 * 1024


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(left + right).digest()


PADDING: Final = tuple(
    accumulate(repeat(None, LEVELS), lambda below, _: _parent(below, below), initial=bytes(32))
)
"""The root of a subtree of all-zero leaves, by its level; level 0 is one leaf."""


class PiecesRoot:
    """Give it the file's bytes in order, in chunks of any size; memory stays constant.

    Chunks that are multiples of 16 KiB are hashed without being copied.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._complete: list[tuple[int, bytes]] = []
        """(level, root) of complete subtrees, the levels falling: the leaves so far, in binary."""

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """The next bytes of the file."""
        view = memoryview(chunk).cast("B")
        start = 0
        if self._rest:
            start = min(len(view), BLOCK - len(self._rest))
            self._rest += view[:start]
            if len(self._rest) < BLOCK:
                return
            _add_leaf(self._complete, self._rest)
            self._rest = bytearray()
        end = len(view) - (len(view) - start) % BLOCK
        for at in range(start, end, BLOCK):
            _add_leaf(self._complete, view[at : at + BLOCK])
        self._rest += view[end:]

    def digest(self) -> bytes:
        """The root of what was given so far: 32 bytes; more may follow.

        Raises ValueError when that is nothing: BEP 52 gives an empty file no root.
        """
        left = list(self._complete)
        if self._rest:
            _add_leaf(left, self._rest)
        if not left:
            raise ValueError("an empty file has no pieces root")
        level, root = left.pop()
        while left:
            if left[-1][0] == level:
                root = _parent(left.pop()[1], root)
            else:
                root = _parent(root, PADDING[level])
            level += 1
        return root


def _add_leaf(complete: list[tuple[int, bytes]], block: bytes | bytearray | memoryview) -> None:
    level, root = 0, hashlib.sha256(block).digest()
    while complete and complete[-1][0] == level:
        root = _parent(complete.pop()[1], root)
        level += 1
    complete.append((level, root))


def piece_length_for(length: int) -> int:
    """The piece length in bytes for a file of `length` bytes: a power of two.

    One block (16 KiB) as long as that makes at most 16384 pieces: a piece can be passed on as soon
    as it is whole, so short ones spread fastest and least is lost in a power cut. Longer files
    get longer pieces, up to 16 MiB.
    """
    piece = BLOCK
    while piece * MOST_PIECES < length and piece < LONGEST_PIECE:
        piece *= 2
    return piece


def piece_length_of_pack(length: int) -> int:
    """The piece length in bytes for a chunk pack of `length` bytes: a power of two.

    A device that updates receives a hash of each piece and little else, so pieces are longer than
    those of other files: at most 4096 of them as far as 64 KiB allow. Longer ones would cost more
    at the edges of what is new.
    """
    piece = piece_length_for(length)
    while piece * PIECES_OF_PACK < length and piece < LONGEST_OF_PACK:
        piece *= 2
    return piece
