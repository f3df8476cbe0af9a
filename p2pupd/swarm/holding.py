"""What is here of an artifact whose file is written without BitTorrent, and where it came from."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from p2pupd.core.piece_layer import PieceLayer, length_of_piece
from p2pupd.host.layer_files import keep_layer
from p2pupd.host.threads import to_the_end
from p2pupd.model.device import ByteCounts
from p2pupd.model.release import Artifact
from p2pupd.swarm import ledger
from p2pupd.swarm.interface import Injected
from p2pupd.swarm.ledger import Ledger
from p2pupd.swarm.piece_file import PieceFile


class Holding:
    """Used on the event loop. `here` and `done` (bytes) count once `layer` is known.

    `received` are bytes from neighbours since this process first saw it; what came from others is
    in a ledger, which is kept beside the file. Where there is one, or the file was begun here, all
    else that is there came from neighbours.
    """

    def __init__(self, artifact: Artifact, directory: Path, received: int = 0) -> None:
        self.artifact = artifact
        self.directory = directory
        self.file = PieceFile(artifact, directory)
        self.layer: PieceLayer | None = None
        self.here = [False] * artifact.pieces
        self.done = 0
        self.received = received
        self._lacking = artifact.pieces
        self._ledger = Ledger(artifact)
        self._noted: bytes | None = None
        self._tracked = False
        self._known = False
        self._searching = asyncio.Lock()
        self._noting = asyncio.Lock()

    async def begin(self) -> None:
        """Read what earlier runs noted, once."""
        async with self._searching:
            if self._known:
                return
            kept = await asyncio.to_thread(ledger.read, self.artifact, self.directory)
            empty = await asyncio.to_thread(self.file.empty)
            self._tracked = empty or kept is not None
            self._noted = None if kept is None else kept.marks
            if kept is not None and not empty:
                self._ledger = kept
            self._known = True

    async def search(self, layer: PieceLayer) -> None:
        """Keep the layer, and find what is on disk of it; once.

        Raises FetchError, HostError or SpaceError.
        """
        await self.begin()
        async with self._searching:
            if self.layer is None:
                await asyncio.to_thread(keep_layer, layer, self.directory)
                self.found(await asyncio.to_thread(self.file.search, layer))
                self.layer = layer
                await self.note()

    def found(self, here: Sequence[bool]) -> None:
        """What is on disk altogether."""
        self.here[:] = here
        self._lacking = len(here) - sum(here)
        self.done = sum(
            length_of_piece(self.artifact, piece) for piece, there in enumerate(here) if there
        )
        self._ledger.confirm(here)

    def missing(self) -> list[int]:
        """Pieces that are not in the file."""
        return [piece for piece, there in enumerate(self.here) if not there]

    @property
    def lacking(self) -> int:
        """How many those are."""
        return self._lacking

    def foreseen(self, pieces: Iterable[tuple[int, Injected]]) -> bool:
        """Whether it is on disk where these come from, so that they may be written."""
        expected = all(self.here[piece] or self._ledger.expects(piece, of) for piece, of in pieces)
        return expected and (not self._tracked or self._ledger.marks == self._noted)

    async def foresee(self, pieces: Iterable[tuple[int, Injected]]) -> None:
        """Write down where these come from."""
        for piece, source in pieces:
            if not self.here[piece] and not self._ledger.expects(piece, source):
                self._ledger.expect(piece, source, self.here)
        await self.note()

    def came(self, piece: int, source: Injected) -> None:
        """It was written; whoever brought it first has the honour."""
        if self.here[piece]:
            return
        length = length_of_piece(self.artifact, piece)
        self.here[piece] = True
        self._lacking -= 1
        self.done += length
        if source is Injected.LAN:
            self.received += length
        self._ledger.mark(piece, source)

    async def note(self) -> None:
        """Write the sources down, where they are news; what fails is told in the log."""
        async with self._noting:
            marks = self._ledger.marks
            if self._tracked and marks != self._noted:
                write = ledger.write_if_possible
                await to_the_end(partial(write, marks, self.artifact, self.directory))
                self._noted = marks

    async def leave(self) -> None:
        """Nobody works on it just now: note what is there."""
        self._ledger.expect_no_more()
        if not await asyncio.to_thread(self.file.empty):
            await self.note()

    def counted(self, wasted: int) -> ByteCounts:
        """By source what is there, as far as that is known."""
        counts = self._ledger.account(self.done, self.received, tracked=self._tracked)
        return replace(counts, wasted=wasted)
