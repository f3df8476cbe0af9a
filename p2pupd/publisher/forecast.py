"""What an update will cost a device: the bytes that it receives, before anybody has asked for one.

A device fetches the pieces of the new pack that it cannot make from what it holds, those with the
header always; beside them the piece layer, BitTorrent's messages, and signed metadata.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from p2pupd.core.merkle import BLOCK
from p2pupd.core.piece_layer import HASH
from p2pupd.delta.assembling import Assembly
from p2pupd.delta.header import Header
from p2pupd.delta.interface import Progress
from p2pupd.delta.matching import Source, find

METADATA: Final = 8 << 10
"""What signed metadata takes, for a device that knows the root already."""

BLOCK_MESSAGE: Final = 13
"""BitTorrent's bytes before each block of 16 KiB."""

HASHES: Final = 512
"""Hashes of a piece layer come in messages of so many, each with a header and its proof."""

HASHES_MESSAGE: Final = 53 + 32 * 16


@dataclass(frozen=True, slots=True)
class Forecast:
    """Bytes. `carried` is the whole file, `header` its first part, `fetched` the pieces needed."""

    image: int
    carried: int
    header: int
    fetched: int
    piece_length: int

    @property
    def reused(self) -> int:
        """Of the carried file: made from what the device holds."""
        return self.carried - self.fetched

    @property
    def layer(self) -> int:
        return HASH * -(-self.carried // self.piece_length)

    @property
    def messages(self) -> int:
        blocks, hashes = -(-self.fetched // BLOCK), self.layer // HASH
        return blocks * BLOCK_MESSAGE + -(-hashes // HASHES) * HASHES_MESSAGE

    @property
    def wire(self) -> int:
        """All that a device receives."""
        return self.fetched + self.layer + self.messages + METADATA

    @property
    def share(self) -> float:
        """Of the image."""
        return self.wire / self.image


def whole(image: int, carried: int, header: int, piece_length: int) -> Forecast:
    """For a device that holds nothing of it."""
    return Forecast(image, carried, header, carried, piece_length)


def against(
    header: Header, piece_length: int, held: Sequence[Source], progress: Progress
) -> Forecast:
    """For a device that holds those sources. `progress` hears the bytes of the one searched."""
    made = Assembly(find(header, held, progress), piece_length).length
    fetched = header.pack_length - made
    return Forecast(header.image_length, header.pack_length, header.length, fetched, piece_length)
