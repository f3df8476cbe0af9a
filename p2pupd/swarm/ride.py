"""Long ranges of one artifact from neighbours that have it, in threads outside the event loop.

Each piece is proved before it is written. Whatever goes wrong ends the ride; what is there stays.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import Final

from p2pupd.core.piece_layer import PieceLayer
from p2pupd.errors import ContentError, FetchError
from p2pupd.swarm.arrivals import Stream
from p2pupd.swarm.interface import SwarmPeer
from p2pupd.swarm.piece_file import PieceFile

WORKERS: Final = 2
"""Threads: while one hashes, the other one receives."""
BUFFER: Final = 1024 * 1024
"""Bytes that a thread holds, at least a piece."""
BROKEN_WITHIN: Final = 2.0
"""Seconds in which threads end whose connections were broken."""
SHORTEST: Final = 16 * 1024 * 1024
RANGES: Final = 32
"""A range is so many bytes, or such a share of the artifact: a neighbour bounds requests."""


class WrongBytes(ContentError):
    """`host` sent `wasted` bytes that were not what was signed."""

    def __init__(self, text: str, host: str, wasted: int) -> None:
        super().__init__(text)
        self.host = host
        self.wasted = wasted


class Ride:
    """`landed` gets runs of pieces that are in the file; it is read by the event loop."""

    def __init__(
        self, layer: PieceLayer, file: PieceFile, missing: Sequence[int], stream: Stream
    ) -> None:
        self.landed: deque[range] = deque()
        self._layer = layer
        self._file = file
        self._stream = stream
        self._spans = deque(_spans(layer, missing))
        self._lock = threading.Lock()
        self._stopped = False
        self._cuts: dict[int, Callable[[], None]] = {}
        self._threads = ThreadPoolExecutor(WORKERS, "express")
        self._work: list[asyncio.Future[None]] = []

    def begin(self, peers: Sequence[SwarmPeer]) -> Sequence[asyncio.Future[None]]:
        """Ask `peers` in threads of its own; what they raise is told by the futures."""
        loop, asked = asyncio.get_running_loop(), islice(cycle(peers), WORKERS)
        self._work = [loop.run_in_executor(self._threads, self.work, peer) for peer in asked]
        return self._work

    async def end(self) -> None:
        """Break all connections, and wait for the threads, but not for long."""
        self._stop()
        self._threads.shutdown(wait=False)
        if self._work:
            await asyncio.wait(self._work, timeout=BROKEN_WITHIN)
        for each in self._work:
            each.add_done_callback(_seen)

    def work(self, peer: SwarmPeer) -> None:
        """Bring ranges from `peer` until none is left. Blocks.

        Raises WrongBytes, NeighbourBusy, FetchError, ProtocolError or SpaceError.
        """
        artifact = self._layer.artifact
        size = artifact.piece_length
        buffer = memoryview(bytearray(max(BUFFER, size)))
        while span := self._next():
            at = span.start

            def take(view: memoryview) -> None:
                nonlocal at
                at = self._take(peer, at, view)

            wanted = range(span.start * size, min(artifact.length, span.stop * size))
            host, port = peer.host, peer.api_port
            self._stream(host, port, artifact.sha256, wanted, buffer, take, self._opened)

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            cuts = tuple(self._cuts.values())
        for cut in cuts:
            cut()

    def _next(self) -> range | None:
        with self._lock:
            return self._spans.popleft() if self._spans and not self._stopped else None

    def _opened(self, cut: Callable[[], None]) -> None:
        with self._lock:
            self._cuts[threading.get_ident()] = cut
            stopped = self._stopped
        if stopped:
            cut()

    def _take(self, peer: SwarmPeer, first: int, view: memoryview) -> int:
        """Prove and write what begins with piece `first`; the piece after it."""
        size = self._layer.artifact.piece_length
        end = first + -(-len(view) // size)
        for piece in range(first, end):
            at = (piece - first) * size
            if not self._layer.matches(piece, view[at : at + size]):
                self._write(first, piece, view[:at])
                text = f"piece {piece} is not what was signed"
                raise WrongBytes(text, peer.host, len(view) - at)
        self._write(first, end, view)
        return end

    def _write(self, first: int, end: int, view: memoryview) -> None:
        if self._stopped:
            raise FetchError("it was broken off", reason="stopped")
        if view:
            self._file.write(first, view, keep=True)
            self.landed.append(range(first, end))


def _seen(work: asyncio.Future[None]) -> None:
    """How it ended when it was broken off is no news."""
    if not work.cancelled():
        work.exception()


async def first_of(work: set[asyncio.Future[None]], seconds: float) -> None:
    """Wait until one of them ends, or so long."""
    if work:
        await asyncio.wait(work, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    else:
        await asyncio.sleep(seconds)


def _spans(layer: PieceLayer, missing: Sequence[int]) -> Iterator[range]:
    """Adjoining missing pieces together, bounded in bytes."""
    artifact = layer.artifact
    most = max(1, max(SHORTEST, artifact.length // RANGES) // artifact.piece_length)
    first = end = -1
    for piece in missing:
        if piece != end or end - first >= most:
            if end > first:
                yield range(first, end)
            first = piece
        end = piece + 1
    if end > first:
        yield range(first, end)
