"""An artifact that fills up without BitTorrent: what is being written of it, and how it ends."""

import asyncio
from collections import deque
from functools import partial
from pathlib import Path
from typing import Final

from p2pupd.core.piece_layer import PieceLayer
from p2pupd.errors import UpdateError
from p2pupd.model.device import ByteCounts, TransferProgress
from p2pupd.model.release import Artifact
from p2pupd.swarm import resume
from p2pupd.swarm.arrivals import Arrival
from p2pupd.swarm.holding import Holding
from p2pupd.swarm.interface import Injected

RUN: Final = 1024 * 1024
"""Bytes of adjoining pieces that are written at once; twice as much is held."""

Taken = list[tuple[int, bytes, Injected]]
"""Adjoining pieces, in rising order."""


class Lone(Holding):
    """Used on the event loop. `since` is when it began, `stirred` when a piece last came (seconds
    of the loop's clock).

    `supplied`: pieces are put into it; else they are asked for, while `riding` is held. `over`: it
    takes nothing any more, because it has gone another way, or to BitTorrent while `moving` is
    held.
    """

    def __init__(
        self, artifact: Artifact, directory: Path, since: float, *, supplied: bool
    ) -> None:
        super().__init__(artifact, directory)
        self.since = self.stirred = since
        self.supplied = supplied
        self.over = False
        self.wasted = 0
        self.moving = asyncio.Lock()
        self.riding = asyncio.Lock()
        self.failure: UpdateError | None = None
        self._pending: Taken = []
        self._pending_bytes = 0
        self._in_writing = 0
        self._writing: asyncio.Future[bool] | None = None
        self._opened = asyncio.Event()
        self._arrival: Arrival | None = None
        self._durable = False

    async def open(self, layer: PieceLayer) -> None:
        """Find what is on disk. Raises FetchError, HostError or SpaceError; then it is over."""
        try:
            await self.search(layer)
        except BaseException:
            self.over = True
            raise
        finally:
            self._opened.set()

    async def opened(self) -> None:
        """Wait until `open` has ended, well or not."""
        await self._opened.wait()

    def arrival(self, layer: PieceLayer) -> Arrival:
        """How neighbours see it."""
        path = self.directory / self.artifact.pieces_root
        self._arrival = Arrival(self.artifact, path, layer.hashes, self.here)
        return self._arrival

    @property
    def whole(self) -> bool:
        """Every piece is in the file."""
        return not self.lacking

    def landed(self, runs: deque[range]) -> None:
        """Pieces that a ride has written."""
        while runs:
            for piece in runs.popleft():
                self.came(piece, Injected.LAN)
            self._stir()

    async def take(self, piece: int, content: bytes, source: Injected) -> bool:
        """Put a proved piece in, soon; false where it is over.

        Raises SpaceError or FetchError, also of an earlier one.
        """
        await self._opened.wait()
        if self._pending and self._pending[-1][0] + 1 != piece:
            await self._write()
        if self.over or self.here[piece]:
            return not self.over
        self._pending.append((piece, content, source))
        self._pending_bytes += len(content)
        if self._pending_bytes >= RUN:
            await self._write()
        return True

    async def flush(self) -> None:
        """Write all that was taken. Raises SpaceError or FetchError."""
        await self._write()
        await self._settle()

    @property
    def all_taken(self) -> bool:
        """Nothing is missing but what is being written."""
        return self.lacking <= len(self._pending) + self._in_writing

    async def _write(self) -> None:
        """Begin to write what was taken: the next pieces may be read meanwhile."""
        while self._writing is not None or not self.foreseen(self._sources()):
            await (self.foresee(self._sources()) if self._writing is None else self._settle())
        if self._pending:
            written, self._pending, self._pending_bytes = self._pending, [], 0
            parts = [content for _, content, _ in written]
            write = partial(self.file.write, written[0][0], *parts, keep=True)
            self._writing = asyncio.get_running_loop().run_in_executor(None, write)
            self._writing.add_done_callback(partial(self._wrote, written))
            self._in_writing = len(written)

    def _sources(self) -> list[tuple[int, Injected]]:
        return [(piece, source) for piece, _, source in self._pending]

    def _wrote(self, written: Taken, writing: asyncio.Future[bool]) -> None:
        """Count it, also when nobody waits for it any more."""
        self._in_writing = 0
        if writing.cancelled() or writing.exception() is not None:
            return
        for piece, _, source in written:
            self.came(piece, source)
        self._stir()
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
            await self.note()

    async def complete(self) -> None:
        """Everything is in the file: make it durable, then say so beside it, once.

        Raises SpaceError, FetchError or HostError.
        """
        async with self.moving:
            if not self._durable:
                await asyncio.to_thread(self.file.sync)
                if self.layer:
                    await asyncio.to_thread(resume.save_whole, self.layer, self.directory)
                self._durable = True

    async def leave(self) -> None:
        """Nobody works on it just now: note what came from where."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
        await super().leave()

    def end(self, failure: UpdateError) -> None:
        """Whoever waits for it gets this error."""
        self.failure = self.failure or failure

    @property
    def counts(self) -> ByteCounts:
        """By source what is there, as far as that is known."""
        return self.counted(self.wasted)

    def report(self, counts: ByteCounts, peers: int) -> TransferProgress:
        """Where it stands."""
        seconds = max(0.1, asyncio.get_running_loop().time() - self.since)
        rate = int(self.received / seconds)
        return TransferProgress(self.done, self.artifact.length, counts, peers, rate)

    def _stir(self) -> None:
        self.stirred = asyncio.get_running_loop().time()
