"""Every limit of the format `pack1` (docs/pack-format.md). Bytes, unless said otherwise."""

from enum import IntEnum
from typing import Final

MAGIC: Final = b"p2ppack\x01"
"""The last byte is the version."""

PREAMBLE: Final = 16
"""Magic, length of the packed header (u32), length of the plain header (u32)."""

MOST_HEADER: Final = 64 << 20
"""Of the header, packed or plain, without the preamble."""

MOST_CHUNKS: Final = 1 << 21
"""Distinct chunks in a pack."""

MOST_RUNS: Final = 1 << 21
"""Entries of the table that tells the image's order."""

MOST_IMAGE: Final = 1 << 40
MOST_RUN: Final = (1 << 32) - 1
"""Chunks, or zero bytes, in one entry: what 32 bits hold."""

ID: Final = 6
"""Of a chunk's SHA-256 these many first bytes are its name: it tells where to look, and proves
nothing (docs/pack-format.md says why that is safe)."""


class Cutting(IntEnum):
    """Where chunks begin and end."""

    CONTENT = 0
    """Where the content says so."""
    BLOCKS = 1
    """At each multiple of the average."""


LEAST_AVERAGE: Final = 1 << 10
MOST_AVERAGE: Final = 1 << 18
"""The average that chunks are cut for: a power of two."""

SPREAD: Final = 4
"""A chunk has at most the average times this, at least (unless it is the last) the average
divided by it."""

MOST_CHUNK: Final = MOST_AVERAGE * SPREAD
"""Of one chunk, plain."""

MOST_FRAME: Final = MOST_CHUNK
"""Of one frame, plain; stored it is never longer."""
