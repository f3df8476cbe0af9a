"""p2pupd among the contenders: a pack, and the pieces of it that a device cannot build itself."""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pupd.core.merkle import piece_length_of_pack
from p2pupd.delta.assembling import Assembly
from p2pupd.delta.files import opened
from p2pupd.delta.header import Header, header_length, parse
from p2pupd.delta.limits import PREAMBLE
from p2pupd.delta.matching import ImageSource, PackSource, Source, find
from p2pupd.delta.reading import Reader
from p2pupd.delta.writing import pack
from p2pupd.publisher.forecast import METADATA, Forecast
from scenarios.images.commands import ImagesError
from scenarios.images.contenders import Cost, Prepared

PRODUCT: Final = "p2pupd"


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
        with ExitStack() as stack:
            image = stack.enter_context(opened(at.image))
            target = stack.enter_context((at.shelf / "image.pack").open("wb"))
            spool = stack.enter_context(tempfile.TemporaryFile(dir=at.shelf))
            had = stack.enter_context(opened(beside[0])) if beside else None
            earlier = Reader(had, header_of(beside[0])) if had else None
            pack(image, target, spool, _unheard, earlier=earlier)

    def first(self, new: Prepared) -> Cost:
        header = header_of(new.shelf / "image.pack")
        return _cost(new.image, header, header.pack_length)

    def update(self, old: Prepared, new: Prepared) -> Cost:
        path = new.shelf / "image.pack"
        header = header_of(path)
        length = piece_length_of_pack(header.pack_length)
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
        return _cost(new.image, header, header.pack_length - made)


def _cost(image: Path, header: Header, fetched: int) -> Cost:
    length = piece_length_of_pack(header.pack_length)
    known = Forecast(
        image=image.stat().st_size,
        carried=header.pack_length,
        header=header.length,
        fetched=fetched,
        piece_length=length,
    )
    parts = {
        "pieces": fetched,
        "of these header": header.length,
        "piece layer": known.layer,
        "messages": known.messages,
        "metadata": METADATA,
    }
    return Cost(known.wire, parts)


def header_of(path: Path) -> Header:
    """The checked header of a pack."""
    with path.open("rb") as file:
        beginning = file.read(PREAMBLE)
        beginning += file.read(header_length(beginning) - PREAMBLE)
    return parse(beginning, path.stat().st_size)


def _unheard(done: int) -> None:
    """Nobody looks at the progress."""
