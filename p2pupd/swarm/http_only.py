"""The swarm without BitTorrent: a client of its neighbours' peer API, for small devices.

It sends nothing itself: neighbours get verified files from this device's own peer API.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from p2pupd.core.allowance import Allowance
from p2pupd.core.piece_layer import PieceLayer
from p2pupd.errors import ContentError, FetchError, UpdateError
from p2pupd.host.layer_files import kept_layer
from p2pupd.model.device import ByteCounts, TransferProgress
from p2pupd.model.release import Artifact
from p2pupd.swarm.holding import Holding
from p2pupd.swarm.interface import Holdings, Injected, ProgressListener, SwarmPeer
from p2pupd.swarm.over_http import HttpPieces

TICK: Final = 0.25
"""Seconds between two reports of progress."""
RATE_OVER: Final = 20
"""Reports over which the rate is measured."""

log = logging.getLogger(__name__)


class _Held(Holding):
    """One artifact here. What is here counts once `layer` is known, or it is `complete`.

    `turn` is held by the one fetch that works. Pieces `held_back` are asked of nobody; `news` is
    set when there are others, or one came.
    """

    def __init__(self, artifact: Artifact, directory: Path, received: int) -> None:
        super().__init__(artifact, directory, received)
        self.complete = False
        self.turn = asyncio.Lock()
        self._failure: UpdateError | None = None
        self._scopes: list[asyncio.Timeout] = []
        self.held_back: frozenset[int] = frozenset()
        self.news = asyncio.Event()

    def missing(self) -> list[int]:
        """Pieces that are not on disk, and to be asked for."""
        held_back = self.held_back
        return [piece for piece in super().missing() if piece not in held_back]

    @property
    def whole(self) -> bool:
        """Every piece is on disk."""
        return all(self.here)

    async def take(self, source: Injected, piece: int, content: bytes) -> None:
        """Write a piece that is not there yet."""
        if self.here[piece]:
            return
        await self.foresee([(piece, source)])
        synced = await asyncio.to_thread(self.file.write, piece, content)
        self.came(piece, source)
        if synced:
            await self.note()

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
        self._held_back: dict[str, frozenset[int]] = {}
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
        held.news.set()
        self._pieces.stir()

    def hold_back(self, artifact: Artifact, pieces: Collection[int]) -> None:
        self._held_back[artifact.pieces_root] = frozenset(pieces)
        if held := self._held.get(artifact.pieces_root):
            held.held_back = frozenset(pieces)
            held.news.set()
        self._pieces.stir()

    async def holdings(self, artifact: Artifact) -> Holdings:
        held = self._held.get(artifact.pieces_root)
        here = held.here if held else [False] * artifact.pieces
        return Holdings(tuple(here), (self._pieces.sources(artifact),) * artifact.pieces)

    def counts(self, artifact: Artifact) -> ByteCounts:
        held = self._held.get(artifact.pieces_root)
        if held is None:
            return self._ended.get(artifact.pieces_root, ByteCounts())
        return held.counted(self._pieces.wasted(artifact))

    async def _join(self, artifact: Artifact, directory: Path) -> _Held:
        """What is held of this artifact in this directory."""
        await self._running.wait()
        known = self._held.get(artifact.pieces_root)
        if known is not None:
            gone = known.complete and not await asyncio.to_thread(known.file.complete)
            gone = gone or await asyncio.to_thread(known.file.lost)
            if known.directory == directory and not gone:
                await known.begin()
                return known
            self._forget(known, FetchError("its file was moved", reason="stopped"))
        held = _Held(artifact, directory, self.counts(artifact).received)
        held.held_back = self._held_back.get(artifact.pieces_root, frozenset())
        self._held[artifact.pieces_root] = held
        await held.begin()
        return held

    def _forget(self, held: _Held, failure: UpdateError) -> None:
        root = held.artifact.pieces_root
        self._ended[root] = held.counted(self._pieces.wasted(held.artifact))
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
        while not held.whole:
            held.news.clear()
            await self._pieces.bring(artifact, layer, held.missing, take)
            if held.held_back and not held.missing():
                await held.news.wait()

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
