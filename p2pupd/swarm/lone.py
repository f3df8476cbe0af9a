"""An artifact's file that fills up without BitTorrent, and the account of it."""

import asyncio
from collections import deque
from functools import partial
from pathlib import Path
from typing import Final

from p2pupd.core.piece_layer import PieceLayer, length_of_piece
from p2pupd.errors import UpdateError
from p2pupd.host.layer_files import keep_layer
from p2pupd.model.device import ByteCounts, TransferProgress
from p2pupd.model.release import Artifact
from p2pupd.swarm import ledger
from p2pupd.swarm.arrivals import Arrival
from p2pupd.swarm.interface import Injected
from p2pupd.swarm.ledger import Ledger, Sums, attributed
from p2pupd.swarm.piece_file import PieceFile

RUN: Final = 1024 * 1024
"""Bytes of adjoining pieces that are written at once; twice as much is held."""


class Lone:
    """Used on the event loop. `since` is when it began, `stirred` when a piece last came (seconds
    of the loop's clock).

    `supplied`: pieces are put into it; else they are asked for. `over`: it has gone another way,
    or to BitTorrent, while `moving` is held.
    """

    def __init__(
        self, artifact: Artifact, directory: Path, since: float, *, supplied: bool
    ) -> None:
        self.artifact = artifact
        self.directory = directory
        self.since = self.stirred = since
        self.supplied = supplied
        self.file = PieceFile(artifact, directory)
        self.layer: PieceLayer | None = None
        self.here = [False] * artifact.pieces
        self.done = 0
        self.over = False
        self.wasted = 0
        self.moving = asyncio.Lock()
        self.failure: UpdateError | None = None
        self._received = 0
        self._ledger = Ledger(artifact)
        self._noted: bytes | None = None
        self._tracked = False
        self._pending: list[tuple[int, bytes, Injected]] = []
        self._pending_bytes = 0
        self._in_writing = 0
        self._writing: asyncio.Future[bool] | None = None
        self._opened = asyncio.Event()
        self._arrival: Arrival | None = None
        self._missing = artifact.pieces

    async def open(self, layer: PieceLayer) -> None:
        """Find what is on disk. Raises FetchError, HostError or SpaceError."""
        artifact, directory = self.artifact, self.directory
        kept = await asyncio.to_thread(ledger.read, artifact, directory)
        empty = await asyncio.to_thread(self.file.empty)
        self._tracked = empty or kept is not None
        if kept is not None and not empty:
            self._ledger, self._noted = kept, kept.marks
        await asyncio.to_thread(keep_layer, layer, directory)
        here = await asyncio.to_thread(self.file.search, layer)
        for piece, there in enumerate(here):
            if there:
                self._count(piece)
        self._ledger.confirm(self.here)
        self.layer = layer
        await self.leave()
        self._opened.set()

    def arrival(self, layer: PieceLayer) -> Arrival:
        """How neighbours see it."""
        path = self.directory / self.artifact.pieces_root
        self._arrival = Arrival(self.artifact, path, layer.hashes, self.here)
        return self._arrival

    @property
    def whole(self) -> bool:
        """Every piece is in the file."""
        return not self._missing

    def missing(self) -> list[int]:
        """Pieces that are not in the file."""
        return [piece for piece, there in enumerate(self.here) if not there]

    def landed(self, runs: deque[range]) -> None:
        """Pieces that a ride has written."""
        while runs:
            for piece in runs.popleft():
                if not self.here[piece]:
                    self._count(piece)
                    self._received += length_of_piece(self.artifact, piece)

    async def take(self, piece: int, content: bytes, source: Injected) -> None:
        """Put a proved piece in, soon. Raises SpaceError or FetchError, also of an earlier one."""
        await self._opened.wait()
        if self._pending and self._pending[-1][0] + 1 != piece:
            await self._write()
        self._pending.append((piece, content, source))
        self._pending_bytes += len(content)
        if self._pending_bytes >= RUN:
            await self._write()

    async def flush(self) -> None:
        """Write all that was taken. Raises SpaceError or FetchError."""
        await self._write()
        await self._settle()

    @property
    def all_taken(self) -> bool:
        """Nothing is missing but what is being written."""
        return self._missing <= len(self._pending) + self._in_writing

    async def _write(self) -> None:
        """Begin to write what was taken: the next pieces may be read meanwhile."""
        await self._opened.wait()
        while self._writing is not None or self._foresee():
            await (self._note() if self._writing is None else self._settle())
        if self._pending:
            written, self._pending, self._pending_bytes = self._pending, [], 0
            parts = [content for _, content, _ in written]
            write = partial(self.file.write, written[0][0], *parts, keep=True)
            self._writing = asyncio.get_running_loop().run_in_executor(None, write)
            self._writing.add_done_callback(partial(self._wrote, written))
            self._in_writing = len(written)

    def _foresee(self) -> bool:
        """Whether where it comes from must be noted before what was taken is written."""
        for piece, _, source in self._pending:
            if not self._ledger.expects(piece, source):
                self._ledger.expect(piece, source, self.here)
                return True
        return False

    def _wrote(
        self, written: list[tuple[int, bytes, Injected]], writing: asyncio.Future[bool]
    ) -> None:
        """Count it, also when nobody waits for it any more."""
        self._in_writing = 0
        if writing.cancelled() or writing.exception() is not None:
            return
        for piece, part, source in written:
            if self.here[piece]:
                continue
            self._count(piece)
            if source is Injected.LAN:
                self._received += len(part)
            self._ledger.mark(piece, source)
        if self._arrival:
            self._arrival.changed()

    async def _settle(self) -> None:
        """Wait for what is being written. Cancelling it leaves that alone."""
        writing = self._writing
        if writing is None:
            return
        await asyncio.wait([writing])
        if self._writing is writing:
            self._writing = None
        if writing.result():
            await self._note()

    async def complete(self) -> None:
        """Everything is in the file: make it durable. Raises SpaceError or FetchError."""
        await asyncio.to_thread(self.file.sync)

    async def leave(self) -> None:
        """Nobody works on it just now: note what came from where."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
        self._ledger.expect_no_more()
        await self._note()

    async def _note(self) -> None:
        """Write the sources down, where they are news; what fails is told in the log."""
        marks = self._ledger.marks
        if self._tracked and marks != self._noted:
            self._noted = marks
            write = ledger.write_if_possible
            await asyncio.to_thread(write, marks, self.artifact, self.directory)

    def end(self, failure: UpdateError) -> None:
        """Whoever waits for it gets this error."""
        self.failure = self.failure or failure

    @property
    def counts(self) -> ByteCounts:
        """By source what is there, as far as that is known."""
        lan, shares = self._received, self._ledger.sums
        if self._tracked:
            lan, shares = attributed(self.done, shares) if self._ledger.confirmed else (0, Sums())
        return ByteCounts(
            lan=lan,
            usb=shares.get(Injected.USB, 0),
            uplink=shares.get(Injected.UPLINK, 0),
            reuse=shares.get(Injected.REUSE, 0),
            received=self._received,
            wasted=self.wasted,
        )

    def report(self, counts: ByteCounts, peers: int) -> TransferProgress:
        """Where it stands."""
        seconds = max(0.1, asyncio.get_running_loop().time() - self.since)
        rate = int(self._received / seconds)
        return TransferProgress(self.done, self.artifact.length, counts, peers, rate)

    def _count(self, piece: int) -> None:
        self.here[piece] = True
        self._missing -= 1
        self.stirred = asyncio.get_running_loop().time()
        self.done += length_of_piece(self.artifact, piece)
