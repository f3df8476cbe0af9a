"""Pieces from neighbours by HTTP: ranges of their verified files, each piece proved when it comes.

For devices without BitTorrent, and for a swarm that stands still. Nothing here knows HTTP: how to
ask is passed in.
"""

import asyncio
import logging
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Final

from p2pupd.core.allowance import Allowance
from p2pupd.core.backoff import delay
from p2pupd.core.pace import Pace
from p2pupd.core.piece_layer import Bytelike, PieceLayer, layer_length, length_of_piece
from p2pupd.core.token_bucket import TokenBucket
from p2pupd.errors import ContentError, NeighbourBusy, UpdateError
from p2pupd.model.ids import DeviceId, Sha256
from p2pupd.model.release import Artifact
from p2pupd.swarm.hostility import Blocklist
from p2pupd.swarm.interface import SwarmPeer

log = logging.getLogger(__name__)

AT_ONCE: Final = 2
"""Ranges under way for one artifact: with `LARGEST` it bounds the memory."""
SMALLEST: Final = 64 * 1024
LARGEST: Final = 1024 * 1024
"""Bytes of one range."""
RATE: Final = 15.0
BURST: Final = 30
"""Requests to one neighbour, per second and at once. It admits 20 and 60 of one address, and some
must be left for questions about releases: a neighbour that answers none of them counts as lost."""
SHORT: Final = 1.0
LONG: Final = 4.0
"""Seconds: a range that took less is followed by a larger one, one that took more by a smaller one.
So a slow link is not given up by a neighbour that thinks we do not read."""
LONGEST_PAUSE: Final = 15.0
"""Seconds until a neighbour that failed is asked again, at most: it may have it by now."""

EVEN: Final = 0.2
"""Seconds of the download rate that one range may take, so that the pace is even."""

AskLayer = Callable[[str, int, Sha256, int], Awaitable[Bytelike]]
"""PeerClient.layer: (host, port, SHA-256, length) -> encoded piece layer. Raises NeighbourBusy,
FetchError or ProtocolError."""
AskRange = Callable[[str, int, Sha256, int, int], Awaitable[Bytelike]]
"""PeerClient.artifact_range: (host, port, SHA-256, first byte, count) -> bytes. Raises the same."""
Take = Callable[[int, bytes], Awaitable[None]]
"""Takes a piece by its number, as it came."""
AskHandout = Callable[[str, int, Artifact, bytes, Take], Awaitable[bool]]
"""PeerClient.handout: (host, port, artifact, unwanted pieces, take) -> whether to ask anew."""
Put = Callable[[int, bytes], Awaitable[None]]
"""Takes a piece that was proved. What it raises ends `bring`."""


@dataclass(slots=True)
class _Source:
    """A neighbour as a source of one artifact; not asked before `due`. `size` of the next range."""

    peer: SwarmPeer
    size: int = SMALLEST
    failures: int = 0
    due: float = 0.0
    running: int = 0
    proved: bool = False

    @property
    def merit(self) -> tuple[int, int, int]:
        """Less is better: the least busy, of those the most reliable, of those the quickest."""
        return (self.running, self.failures, -self.size)

    def took(self, seconds: float) -> None:
        """It has sent what it was asked for."""
        self.failures, self.proved = 0, True
        if seconds < SHORT:
            self.size = min(LARGEST, 2 * self.size)
        elif seconds > LONG:
            self.size = max(1, self.size // 2)

    def failed(self, error: UpdateError, now: float, chance: float) -> None:
        """It is left alone for a while."""
        if isinstance(error, NeighbourBusy):
            self.due = now + error.after
            return
        self.failures += 1
        self.size = max(1, self.size // 2)
        self.due = now + min(LONGEST_PAUSE, delay(self.failures, chance))


class _Job:
    """One artifact on its way. `claimed` pieces are asked for; `start` is where we begin."""

    def __init__(self, artifact: Artifact, chance: float) -> None:
        self.artifact = artifact
        self.sources: dict[DeviceId, _Source] = {}
        self.claimed: set[int] = set()
        self.start = int(artifact.pieces * chance)

    def source(self, peer: SwarmPeer) -> _Source:
        """What is known of that neighbour; nothing where it was reached elsewhere before."""
        known = self.sources.get(peer.id)
        if known is None or known.peer != peer:
            known = self.sources[peer.id] = _Source(peer)
        return known

    def run(self, missing: Sequence[int], most: int) -> range:
        """Adjoining pieces that nobody was asked for, of `most` bytes or one; may be empty."""
        middle = bisect_left(missing, self.start)
        free = (
            at
            for at in chain(range(middle, len(missing)), range(middle))
            if missing[at] not in self.claimed
        )
        at = next(free, None)
        if at is None:
            return range(0)
        first = end = missing[at]
        limit = first + max(1, most // self.artifact.piece_length)
        while at < len(missing) and missing[at] == end < limit and end not in self.claimed:
            at, end = at + 1, end + 1
        return range(first, end)


class HttpPieces:
    """Brings pieces from the neighbours that `set_peers` names. Used on the event loop only."""

    def __init__(
        self,
        ask_layer: AskLayer,
        ask_range: AskRange,
        block_for: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """A neighbour that sent wrong bytes is not asked again for `block_for` seconds."""
        self._ask_layer = ask_layer
        self._ask_range = ask_range
        self._chance = chance
        self._blocks = Blocklist(0, block_for)
        self._peers: dict[DeviceId, SwarmPeer] = {}
        self._buckets: dict[DeviceId, TokenBucket] = {}
        self._jobs: dict[Sha256, _Job] = {}
        self._wasted: Counter[Sha256] = Counter()
        self._allowance = Allowance()
        self._pace = Pace()
        self._news = asyncio.Event()

    @property
    def blocked(self) -> frozenset[str]:
        """Addresses that sent wrong bytes."""
        return self._blocks.blocked

    def set_peers(self, peers: Sequence[SwarmPeer]) -> None:
        """The neighbours of now; those without a peer API are left out."""
        self._peers = {peer.id: peer for peer in peers if peer.api_port}
        before, now = self._buckets, self._now()
        self._buckets = {
            peer: before.get(peer) or TokenBucket(RATE, BURST, now) for peer in self._peers
        }
        for job in self._jobs.values():
            for gone in job.sources.keys() - self._peers.keys():
                del job.sources[gone]
        self.stir()

    def limit(self, allowance: Allowance) -> None:
        """From now on ask for nothing that may not move, and for no more than the download rate.

        What was asked for before still comes.
        """
        if allowance.download != self._allowance.download:
            self._pace = Pace(allowance.download)
        self._allowance = allowance
        self.stir()

    def stir(self) -> None:
        """Something changed, such as what is missing: who waits looks again."""
        self._news.set()
        self._news = asyncio.Event()

    def sources(self, artifact: Artifact) -> int:
        """How many neighbours have proved, in the transfer under way, that they have it."""
        job = self._jobs.get(artifact.sha256)
        return sum(each.proved for each in job.sources.values()) if job else 0

    def wasted(self, artifact: Artifact) -> int:
        """Bytes that came so far and were not what was signed."""
        return self._wasted[artifact.sha256]

    async def layer(
        self, artifact: Artifact, known: Callable[[], PieceLayer | None] = lambda: None
    ) -> PieceLayer:
        """The piece layer, proved, from the first neighbour that has it. Waits for one.

        What `known` returns ends that: it is asked at every `stir`.
        """
        with self._job(artifact) as job:
            while True:
                if found := known():
                    return found
                news = self._news
                source, pause = self._choose(job, now := self._now())
                if source is None:
                    await _wait(news, pause)
                    continue
                peer, length = source.peer, layer_length(artifact)
                self._pace.wait(length, now)
                with self._asking(source):
                    raw = await self._ask_layer(peer.host, peer.api_port, artifact.sha256, length)
                    layer = await asyncio.to_thread(PieceLayer.proved, artifact, bytes(raw))
                    source.took(self._now() - now)
                    return layer

    async def bring(
        self,
        artifact: Artifact,
        layer: PieceLayer | None,
        missing: Callable[[], Sequence[int]],
        put: Put,
    ) -> None:
        """Bring the pieces that `missing` names, in rising order, until it names none.

        `put` gets each once, in any order. It goes on until then, however long nobody has them; end
        it by cancelling. What others bring meanwhile is left out: call `stir` then. Raises what
        `put` raises.
        """
        with self._job(artifact) as job:
            proof = layer or await self.layer(artifact)
            try:
                async with asyncio.TaskGroup() as group:
                    for number in range(AT_ONCE):
                        group.create_task(
                            self._work(job, proof, missing, put), name=f"http-pieces {number}"
                        )
            except BaseExceptionGroup as errors:
                raise _first(errors) from errors

    async def some(
        self, artifact: Artifact, layer: PieceLayer, pieces: Collection[int]
    ) -> dict[int, bytes]:
        """These pieces, each proved. Waits for neighbours that have them."""
        found: dict[int, bytes] = {}

        async def put(piece: int, content: bytes) -> None:
            found[piece] = content

        wanted = sorted(pieces)
        await self.bring(artifact, layer, lambda: [x for x in wanted if x not in found], put)
        return found

    async def _work(
        self, job: _Job, layer: PieceLayer, missing: Callable[[], Sequence[int]], put: Put
    ) -> None:
        while wanted := missing():
            news = self._news
            source, pause = self._choose(job, self._now())
            pieces = job.run(wanted, self._most(source) if source else 0)
            if source is None or not pieces:
                await _wait(news, pause)
                continue
            job.claimed.update(pieces)
            try:
                with self._asking(source):
                    await self._take(job, layer, source, pieces, put)
            finally:
                job.claimed.difference_update(pieces)
                self.stir()

    async def _take(
        self, job: _Job, layer: PieceLayer, source: _Source, pieces: range, put: Put
    ) -> None:
        """Ask for one range and put what is right of it. Raises ContentError for the rest."""
        peer, size = source.peer, job.artifact.piece_length
        count = (len(pieces) - 1) * size + length_of_piece(job.artifact, pieces[-1])
        now = self._now()
        self._pace.wait(count, now)
        raw = await self._ask_range(
            peer.host, peer.api_port, job.artifact.sha256, pieces[0] * size, count
        )
        seconds = self._now() - now
        parts = {
            piece: memoryview(raw)[at : at + size]
            for piece, at in zip(pieces, range(0, count, size), strict=True)
        }
        wrong = await asyncio.to_thread(
            lambda: {piece for piece, part in parts.items() if not layer.matches(piece, part)}
        )
        for piece, part in parts.items():
            if piece not in wrong:
                await _handed(put, piece, bytes(part))
        if wrong:
            self._wasted[job.artifact.sha256] += sum(len(parts[piece]) for piece in wrong)
            raise ContentError(f"piece {min(wrong)} is not what was signed")
        source.took(seconds)

    @contextmanager
    def _asking(self, source: _Source) -> Iterator[None]:
        """Whatever goes wrong is the neighbour's: it is noted, and somebody else is asked."""
        source.running += 1
        if bucket := self._buckets.get(source.peer.id):
            bucket.take(self._now())
        try:
            yield
        except ContentError as error:
            host = source.peer.host
            self._blocks.block(host, self._now())
            log.warning("swarm.blocked host=%s why=wrong bytes by HTTP: %s", host, error)
        except _PutFailed as failed:
            raise failed.error from failed
        except UpdateError as error:
            source.failed(error, self._now(), self._chance())
            log.info("swarm.http-failed host=%s error=%s", source.peer.host, error)
        finally:
            source.running -= 1

    def _choose(self, job: _Job, now: float) -> tuple[_Source | None, float | None]:
        """Whom to ask now; else nobody, and the seconds until somebody is due, if ever."""
        if not self._allowance.moves(job.artifact.pieces_root):
            return None, None
        if wait := self._pace.wait(0, now):
            return None, wait
        self._blocks.expire(now)
        usable = [
            job.source(peer)
            for peer in self._peers.values()
            if peer.host not in self._blocks.blocked
        ]
        when = {
            source.peer.id: max(source.due, now + self._buckets[source.peer.id].wait(now))
            for source in usable
        }
        due = [source for source in usable if when[source.peer.id] <= now]
        if not due:
            return None, min(when.values(), default=now) - now or None
        chosen = min(due, key=lambda each: (*each.merit, self._chance()))
        return chosen, None

    def _most(self, source: _Source) -> int:
        """Bytes of the next range."""
        rate = self._allowance.download
        return min(source.size, int(rate * EVEN)) if rate else source.size

    @contextmanager
    def _job(self, artifact: Artifact) -> Iterator[_Job]:
        """The job of this artifact; what was learned of its sources ends with the outermost use."""
        known = self._jobs.get(artifact.sha256)
        if known is not None:
            yield known
            return
        job = self._jobs[artifact.sha256] = _Job(artifact, self._chance())
        try:
            yield job
        finally:
            del self._jobs[artifact.sha256]

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


class _PutFailed(Exception):
    """Keeps a failure of our own apart from those of a neighbour."""

    def __init__(self, error: UpdateError) -> None:
        super().__init__(str(error))
        self.error = error


async def _handed(put: Put, piece: int, content: bytes) -> None:
    try:
        await put(piece, content)
    except UpdateError as error:
        raise _PutFailed(error) from error


async def _wait(news: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended one worker; the other one was only cancelled, or failed in the same way."""
    found = errors.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
