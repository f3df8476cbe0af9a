"""p2pupd among the contenders: a pack, and the pieces of it that a device cannot build itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pupd.core.merkle import piece_length_for
from p2pupd.core.piece_layer import HASH
from p2pupd.delta.assembling import Assembly
from p2pupd.delta.files import opened
from p2pupd.delta.header import Header, header_length, parse
from p2pupd.delta.limits import PREAMBLE
from p2pupd.delta.matching import ImageSource, PackSource, Source, find
from p2pupd.delta.writing import pack
from scenarios.images.commands import ImagesError
from scenarios.images.contenders import Cost, Prepared

PRODUCT: Final = "p2pupd"

METADATA: Final = 8 << 10
"""What a repository's signed metadata takes at most, for a device that knows the root already."""

BLOCK_MESSAGE: Final = 13
"""BitTorrent's bytes before each block of 16 KiB."""

HASHES_MESSAGE: Final = 512
"""Hashes of a piece layer come in messages of so many, each with a header and its proof."""

HASHES_HEADER: Final = 53 + 32 * 16
BLOCK: Final = 16 << 10


@dataclass(frozen=True, slots=True)
class P2pupd:
    """Counted are whole pieces: those with a part of the header, and those that the old pack (or,
    `from_slot`, the old image) cannot make; the piece layer; messages; metadata.

    Each piece that was made is compared with the new pack.
    """

    name: str = PRODUCT
    from_slot: bool = False
    programs: tuple[str, ...] = ()

    def prepare(self, at: Prepared) -> None:
        """The release before, if there is one, is beside this one, as in a repository."""
        beside = sorted(at.shelf.parent.glob("*/image.pack"))
        earlier = header_of(beside[0]) if beside else None
        target, spool = at.shelf / "image.pack", at.shelf / "spool"
        with opened(at.image) as image, target.open("wb") as to, spool.open("w+b") as between:
            pack(image, to, between, _unheard, earlier=earlier)
        spool.unlink()

    def first(self, new: Prepared) -> Cost:
        length = (new.shelf / "image.pack").stat().st_size
        return _cost(length, length, header_of(new.shelf / "image.pack").length)

    def update(self, old: Prepared, new: Prepared) -> Cost:
        path = new.shelf / "image.pack"
        header = header_of(path)
        length = piece_length_for(header.pack_length)
        before = old.image if self.from_slot else old.shelf / "image.pack"
        with opened(before) as had, path.open("rb") as right:
            source: Source = (
                ImageSource(had) if self.from_slot else PackSource(had, header_of(before))
            )
            assembly = Assembly(find(header, [source], _unheard), length)
            made = 0
            for number, content in assembly.pieces(_unheard):
                right.seek(number * length)
                if right.read(len(content)) == content:
                    made += len(content)
                elif not self.from_slot:
                    raise ImagesError(f"piece {number} of {path} was made wrongly")
        return _cost(header.pack_length, header.pack_length - made, header.length)


def _cost(pack_length: int, fetched: int, header: int) -> Cost:
    pieces = -(-pack_length // piece_length_for(pack_length))
    messages = -(-fetched // BLOCK) * BLOCK_MESSAGE
    messages += -(-pieces // HASHES_MESSAGE) * HASHES_HEADER
    parts = {
        "pieces": fetched,
        "of these header": header,
        "piece layer": pieces * HASH,
        "messages": messages,
        "metadata": METADATA,
    }
    return Cost(fetched + pieces * HASH + messages + METADATA, parts)


def header_of(path: Path) -> Header:
    """The checked header of a pack."""
    with path.open("rb") as file:
        beginning = file.read(PREAMBLE)
        beginning += file.read(header_length(beginning) - PREAMBLE)
    return parse(beginning, path.stat().st_size)


def _unheard(done: int) -> None:
    """Nobody looks at the progress."""
