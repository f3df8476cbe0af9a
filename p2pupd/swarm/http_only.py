"""The swarm without BitTorrent: a client of its neighbours' peer API, for small devices.

It sends nothing itself: neighbours get verified files from this device's own peer API.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from p2pupd.core.allowance import Allowance
from p2pupd.core.piece_layer import PieceLayer, length_of_piece
from p2pupd.errors import ContentError, FetchError, UpdateError
from p2pupd.host.layer_files import keep_layer, kept_layer
from p2pupd.model.device import ByteCounts, TransferProgress
from p2pupd.model.release import Artifact
from p2pupd.swarm import ledger
from p2pupd.swarm.interface import Holdings, Injected, ProgressListener, SwarmPeer
from p2pupd.swarm.ledger import Ledger, Sums, attributed
from p2pupd.swarm.over_http import HttpPieces
from p2pupd.swarm.piece_file import PieceFile

TICK: Final = 0.25
"""Seconds between two reports of progress."""
RATE_OVER: Final = 20
"""Reports over which the rate is measured."""

log = logging.getLogger(__name__)


class _Held:
    """One artifact here. `here` and `done` count once `layer` is known, or it is complete.

    `received` are bytes from neighbours since this process first saw it, `ledger` notes what came
    from others, of which `noted` is on disk. If `tracked`, all else that is there came from
    neighbours. `turn` is held by the one fetch that works, `searching` while the disk is searched.
    """

    def __init__(self, artifact: Artifact, directory: Path, received: int) -> None:
        self.artifact = artifact
        self.directory = directory
        self.file = PieceFile(artifact, directory)
        self.layer: PieceLayer | None = None
        self.here = [False] * artifact.pieces
        self.received = received
        self.ledger = Ledger(artifact)
        self.noted: bytes | None = None
        self.tracked = False
        self.complete = False
        self.turn = asyncio.Lock()
        self.searching = asyncio.Lock()
        self.noting = asyncio.Lock()
        self.opened = False
        self.done = 0
        self._failure: UpdateError | None = None
        self._scopes: list[asyncio.Timeout] = []

    def missing(self) -> list[int]:
        """Pieces that are not on disk."""
        return [piece for piece, here in enumerate(self.here) if not here]

    def found(self, here: Sequence[bool]) -> None:
        """What is on disk altogether."""
        self.here = list(here)
        self.done = sum(
            length_of_piece(self.artifact, piece) for piece, there in enumerate(here) if there
        )

    async def open(self) -> None:
        """Read what earlier runs noted, once."""
        async with self.searching:
            if not self.opened:
                kept = await asyncio.to_thread(ledger.read, self.artifact, self.directory)
                empty = await asyncio.to_thread(self.file.empty)
                self.noted = None if kept is None else kept.marks
                self.tracked = empty or kept is not None
                if kept is not None and not empty:
                    self.ledger = kept
                self.opened = True

    async def search(self, layer: PieceLayer) -> None:
        """Keep the layer, and find what is on disk of it; once."""
        async with self.searching:
            if self.layer is None:
                await asyncio.to_thread(keep_layer, layer, self.directory)
                await self.note()
                self.found(await asyncio.to_thread(self.file.search, layer))
                self.ledger.confirm(self.here)
                self.layer = layer

    async def take(self, source: Injected, piece: int, content: bytes) -> None:
        """Write a piece that is not there yet."""
        if self.here[piece]:
            return
        if not self.ledger.expects(piece, source):
            self.ledger.expect(piece, source, self.here)
            await self.note()
        synced = await asyncio.to_thread(self.file.write, piece, content)
        if self.here[piece]:
            return
        self.here[piece] = True
        self.done += len(content)
        if source is Injected.LAN:
            self.received += len(content)
        self.ledger.mark(piece, source)
        if synced:
            await self.note()

    async def note(self) -> None:
        """Write the sources down, where they are news; what fails is told in the log."""
        async with self.noting:
            marks = self.ledger.marks
            if self.tracked and marks != self.noted:
                write = ledger.write_if_possible
                await asyncio.to_thread(write, marks, self.artifact, self.directory)
                self.noted = marks

    async def leave(self) -> None:
        """Nobody works on it just now: note what is there."""
        self.ledger.expect_no_more()
        if not await asyncio.to_thread(self.file.empty):
            await self.note()

    def counts(self, wasted: int) -> ByteCounts:
        """By source what is there, as far as that is known."""
        lan, shares = self.received, self.ledger.sums
        if self.tracked:
            lan, shares = attributed(self.done, shares) if self.ledger.confirmed else (0, Sums())
        return ByteCounts(
            lan=lan,
            usb=shares.get(Injected.USB, 0),
            uplink=shares.get(Injected.UPLINK, 0),
            reuse=shares.get(Injected.REUSE, 0),
            received=self.received,
            wasted=wasted,
        )

    def end(self, failure: UpdateError) -> None:
        """Whoever works on it now gets this error."""
        if self._failure is None:
            self._failure = failure
            for scope in self._scopes:
                scope.reschedule(0)

    @asynccontextmanager
    async def lasting(self) -> AsyncIterator[None]:
        """A block that `end` ends, also when that was before."""
        scope = asyncio.timeout(None)
        self._scopes.append(scope)
        try:
            if self._failure is not None:
                raise self._failure
            async with scope:
                yield
        except TimeoutError:
            if self._failure is None:
                raise
            raise self._failure from None
        finally:
            self._scopes.remove(scope)


class HttpSwarm:
    """The contract is `p2pupd.swarm.interface.Swarm`. Methods may be called before `run`."""

    listen_port: Final = 0
    """It has no BitTorrent end."""

    def __init__(self, pieces: HttpPieces) -> None:
        self._pieces = pieces
        self._held: dict[str, _Held] = {}
        self._ended: dict[str, ByteCounts] = {}
        self._running = asyncio.Event()

    async def listening(self) -> int:
        """Wait until it runs; 0, because it listens on nothing."""
        await self._running.wait()
        return self.listen_port

    async def run(self) -> None:
        self._running.set()
        log.info("swarm.http-only")
        try:
            await asyncio.Event().wait()
        finally:
            self._running.clear()
            everything = tuple(self._held.values())
            for held in everything:
                self._forget(held, FetchError("the swarm has stopped", reason="stopped"))
            for held in everything:
                await held.leave()

    async def fetch(
        self, artifact: Artifact, directory: Path, progress: ProgressListener
    ) -> ByteCounts:
        held = await self._join(artifact, directory)
        with self._reporting(held, progress):
            async with held.lasting(), held.turn:
                if not held.complete:
                    try:
                        await self._bring(held)
                        await asyncio.to_thread(held.file.sync)
                    finally:
                        await held.leave()
                    held.complete = True
                    log.info("swarm.complete root=%s", artifact.pieces_root[:16])
        return self.counts(artifact)

    async def share(self, artifact: Artifact, directory: Path) -> None:
        held = await self._join(artifact, directory)
        if not await asyncio.to_thread(held.file.complete):
            self._forget(held, FetchError("its file is not complete", reason="stopped"))
            path = directory / artifact.pieces_root
            raise ContentError(f"{path} is not the complete artifact; it is not shared")
        held.complete = True
        held.found([True] * artifact.pieces)
        held.ledger.confirm(held.here)
        self._pieces.stir()

    async def drop(self, artifact: Artifact) -> None:
        if held := self._held.get(artifact.pieces_root):
            self._forget(held, FetchError("the artifact is not wanted any more", reason="dropped"))
            await held.leave()

    def limit(self, allowance: Allowance) -> None:
        self._pieces.limit(allowance)

    def set_peers(self, peers: Sequence[SwarmPeer]) -> None:
        self._pieces.set_peers(peers)

    async def supply(self, artifact: Artifact, directory: Path, layer: PieceLayer) -> None:
        held = await self._join(artifact, directory)
        async with held.lasting():
            await held.search(layer)
        self._pieces.stir()

    async def inject(
        self, artifact: Artifact, piece: int, content: bytes, source: Injected
    ) -> None:
        held = self._held.get(artifact.pieces_root)
        if held is None or held.layer is None:
            raise FetchError("the artifact is not supplied any more", reason="dropped")
        await held.take(source, piece, content)
        self._pieces.stir()

    async def holdings(self, artifact: Artifact) -> Holdings:
        held = self._held.get(artifact.pieces_root)
        here = held.here if held else [False] * artifact.pieces
        return Holdings(tuple(here), (self._pieces.sources(artifact),) * artifact.pieces)

    def counts(self, artifact: Artifact) -> ByteCounts:
        held = self._held.get(artifact.pieces_root)
        if held is None:
            return self._ended.get(artifact.pieces_root, ByteCounts())
        return held.counts(self._pieces.wasted(artifact))

    async def _join(self, artifact: Artifact, directory: Path) -> _Held:
        """What is held of this artifact in this directory."""
        await self._running.wait()
        known = self._held.get(artifact.pieces_root)
        if known is not None:
            gone = known.complete and not await asyncio.to_thread(known.file.complete)
            if known.directory == directory and not gone:
                await known.open()
                return known
            self._forget(known, FetchError("its file was moved", reason="stopped"))
        held = _Held(artifact, directory, self.counts(artifact).received)
        self._held[artifact.pieces_root] = held
        await held.open()
        return held

    def _forget(self, held: _Held, failure: UpdateError) -> None:
        root = held.artifact.pieces_root
        self._ended[root] = held.counts(self._pieces.wasted(held.artifact))
        if self._held.get(root) is held:
            del self._held[root]
        held.end(failure)

    async def _bring(self, held: _Held) -> None:
        artifact = held.artifact
        layer = held.layer or await asyncio.to_thread(kept_layer, artifact, held.directory)
        if layer is None:
            layer = await self._pieces.layer(artifact, lambda: held.layer)
        await held.search(layer)
        take = partial(held.take, Injected.LAN)
        await self._pieces.bring(artifact, layer, held.missing, take)

    @contextmanager
    def _reporting(self, held: _Held, progress: ProgressListener) -> Iterator[None]:
        """Tell `progress` where it stands, at once, every `TICK`, and at the end."""
        loop = asyncio.get_running_loop()
        before = deque([held.received], RATE_OVER)

        def tell() -> None:
            rate = int((held.received - before[0]) / (TICK * len(before)))
            before.append(held.received)
            progress(
                TransferProgress(
                    held.done,
                    held.artifact.length,
                    self.counts(held.artifact),
                    self._pieces.sources(held.artifact),
                    rate,
                )
            )

        def tick() -> None:
            tell()
            timers.append(loop.call_later(TICK, tick))

        timers: deque[asyncio.Handle] = deque([loop.call_soon(tick)], 1)
        try:
            yield
            tell()
        finally:
            timers[0].cancel()
