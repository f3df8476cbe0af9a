"""The pieces of a new pack that this device can make itself, of older packs and images.

Everything blocks, and is called in one background thread. Nothing that is read here is believed:
what was made counts when its hash is the one that the signed root proves.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from p2pupd.core.piece_layer import PieceLayer
from p2pupd.delta.assembling import Assembly
from p2pupd.delta.checking import signed_header
from p2pupd.delta.files import OpenFile, opened
from p2pupd.delta.header import Header
from p2pupd.delta.matching import ImageSource, PackSource, Source, find
from p2pupd.delta.unpacking import header_of
from p2pupd.engine.transfers import Reuse, ReuseStage
from p2pupd.errors import HostError, PackError
from p2pupd.model.device import Origin
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Image

BATCH: Final = 1 << 20
"""Bytes that are handed over at once, at least a piece."""

MOST_IMAGES: Final = 2
"""Of the store: each is cut, which takes seconds."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Old:
    """Something of an older release: a pack, or an image, of which only the first `length` bytes
    count. `sha256` is the digest that it had, where that is known."""

    path: Path
    origin: Origin
    length: int | None = None
    sha256: Sha256 | None = None


@dataclass(slots=True)
class Batch:
    """`made`: (piece, content, of what), each proved. `given_up`: pieces that were expected, and
    would be other bytes. `last`: nothing comes behind it."""

    made: list[tuple[int, bytes, Origin]] = field(default_factory=list)
    given_up: set[int] = field(default_factory=set)
    last: bool = False


class Stopped(Exception):
    """Nobody wants it any more."""


class Rebuilding:
    """`told` hears how far it is. After `stop` whatever is going on ends with Stopped."""

    def __init__(self, layer: PieceLayer, image: Image, told: Reuse) -> None:
        self._layer = layer
        self._image = image
        self._told = told
        self._stopped = False
        self._open = ExitStack()
        self._stored = 0
        self._assembly: Assembly
        self._pieces: Iterator[tuple[int, bytes]]
        self._expected: set[int] = set()
        self._from = Origin.STORE
        self._before = (0, 0)

    def plan(self, beginning: bytes, olds: Sequence[Old], here: Sequence[bool]) -> frozenset[int]:
        """The pieces to expect, none of those that are `here`.

        `beginning` are the first bytes of the pack, all of its header among them. Raises PackError
        where that is not in order, or is of another image than the signed one.
        """
        artifact = self._layer.artifact
        header = signed_header(Beginning(beginning), self._image, artifact.length)
        sources = self._sources(olds)
        length = artifact.piece_length

        def lacking(piece: int) -> bool:
            return not here[piece]

        self._told.stage = ReuseStage.SEARCHING
        held = find(header, sources, self._heard)
        self._assembly = Assembly(held, length, lacking)
        stored = Assembly(held.of(self._stored), length, lacking).length
        self._told.expected[Origin.STORE] = stored
        self._told.expected[Origin.SLOT] = self._assembly.length - stored
        self._expected = {piece for span in self._assembly.spans() for piece in span.pieces}
        self._told.stage, self._told.done = ReuseStage.BUILDING, 0
        self._told.length = self._assembly.length
        self._pieces = self._assembly.pieces(self._heard)
        return frozenset(self._expected)

    def next(self) -> Batch:
        """More of them."""
        batch, size = Batch(), 0
        for piece, content in self._pieces:
            origin = self._origin()
            self._expected.discard(piece)
            if self._layer.matches(piece, content):
                batch.made.append((piece, content, origin))
            else:
                batch.given_up.add(piece)
            size += len(content)
            if size >= BATCH:
                return batch
        batch.given_up |= self._expected
        batch.last = True
        return batch

    def stop(self) -> None:
        """End soon. May be called from any thread."""
        self._stopped = True

    def close(self) -> None:
        """Give the old files back."""
        self._open.close()

    def _sources(self, olds: Sequence[Old]) -> list[Source]:
        """What the store has before what others have; of each, packs, which are copied, before
        images, which are cut and compressed again. An image that is there already, or the pack of
        which is, has nothing more."""
        packs: dict[Origin, list[Source]] = {origin: [] for origin in Origin}
        images: dict[Origin, list[Source]] = {origin: [] for origin in Origin}
        known: set[Sha256] = set()
        for old in olds:
            try:
                file = self._open.enter_context(opened(old.path))
                if header := _header(file):
                    known.add(header.image_sha256)
                    packs[old.origin].append(PackSource(file, header))
                    continue
                few = old.origin is not Origin.STORE or len(images[old.origin]) < MOST_IMAGES
                if few and old.sha256 not in known:
                    known |= {old.sha256} if old.sha256 else set()
                    images[old.origin].append(ImageSource(file, old.length))
            except HostError as error:
                log.info("reuse.unreadable path=%s error=%s", old.path, error)
        stored, others = ([*packs[x], *images[x]] for x in (Origin.STORE, Origin.SLOT))
        self._stored = len(stored)
        return [*stored, *others]

    def _origin(self) -> Origin:
        """Where the bytes of the piece that was made last mostly came from."""
        reused = self._assembly.reused
        stored = sum(count for source, count in reused.items() if source < self._stored)
        others = reused.total() - stored
        more = (stored - self._before[0], others - self._before[1])
        self._before = (stored, others)
        if any(more):
            self._from = Origin.STORE if more[0] >= more[1] else Origin.SLOT
        return self._from

    def _heard(self, done: int) -> None:
        if self._stopped:
            raise Stopped
        self._told.done = done


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first bytes of something, as a Readable."""

    content: bytes

    @property
    def size(self) -> int:
        """Of what is there."""
        return len(self.content)

    def read_at(self, offset: int, length: int) -> bytes:
        """As the contract says."""
        return self.content[offset : offset + length]


def _header(file: OpenFile) -> Header | None:
    """Of a pack; None where it is something else, or damaged. Raises HostError."""
    try:
        return header_of(file)
    except PackError:
        return None
