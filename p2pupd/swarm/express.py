"""The swarm of two: BitTorrent is left out while nobody else has use for it.

A device all of whose neighbours are seeds takes long ranges from them by HTTP. A device that reads
a stick, with one neighbour at most, writes the file by itself, and hands its pieces out by HTTP as
they arrive. As soon as that does not hold any more, or anything goes wrong, the torrent is added
with what is there. ADR 11 says why.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from p2pupd.core.allowance import Allowance
from p2pupd.core.piece_layer import PieceLayer
from p2pupd.errors import FetchError, UpdateError
from p2pupd.host.layer_files import kept_layer
from p2pupd.model.device import ByteCounts, TransferProgress
from p2pupd.model.release import Artifact
from p2pupd.swarm import layers
from p2pupd.swarm.arrivals import Wires
from p2pupd.swarm.interface import Holdings, Injected, ProgressListener, SwarmPeer
from p2pupd.swarm.lone import Lone
from p2pupd.swarm.ride import Ride, WrongBytes, first_of
from p2pupd.swarm.session import LibtorrentSwarm
from p2pupd.swarm.solitude import Solitude

TICK: Final = 0.1
LOOK: Final = 1.0
SLOWEST: Final = 8 * 1024 * 1024
"""Bytes per second: BitTorrent fills a slower line as well, and does more for others."""
ASKED_WITHIN: Final = 1.0
"""Seconds: a neighbour that has not asked by HTTP for so long waits for BitTorrent."""

log = logging.getLogger(__name__)


class ExpressSwarm:
    """The contract is `p2pupd.swarm.interface.Swarm`. An artifact is in `torrents`, or alone."""

    def __init__(self, torrents: LibtorrentSwarm, wires: Wires, block_for: float) -> None:
        """A neighbour that sent wrong bytes is not asked again for `block_for` seconds."""
        self._torrents = torrents
        self._wires = wires
        self._solitude = Solitude(block_for)
        self._lones: dict[str, Lone] = {}
        self._supplied: dict[str, tuple[Path, PieceLayer]] = {}
        self._joining: Counter[str] = Counter()
        self._outside: dict[str, ByteCounts] = {}

    @property
    def listen_port(self) -> int:
        """The TCP port that neighbours can reach; 0 until the session is open."""
        return self._torrents.listen_port

    async def listening(self) -> int:
        """Wait until the session is open; its port."""
        return await self._torrents.listening()

    @property
    def blocked(self) -> frozenset[str]:
        """Addresses that are not asked, for what they did."""
        return self._torrents.blocked | self._solitude.blocked

    async def run(self) -> None:
        try:
            await self._torrents.run()
        finally:
            for lone in tuple(self._lones.values()):
                lone.end(FetchError("the swarm has stopped", reason="stopped"))
                self._forget(lone)

    async def fetch(
        self, artifact: Artifact, directory: Path, progress: ProgressListener
    ) -> ByteCounts:
        root = artifact.pieces_root

        def told(report: TransferProgress) -> None:
            progress(replace(report, counts=self.counts(artifact)))

        while True:
            lone = self._lones.get(root) or await self._begin(artifact, directory)
            if lone is not None:
                if await self._alone(lone, progress):
                    return self.counts(artifact)
                continue
            try:
                await self._remember(artifact, directory)
                await self._torrents.fetch(artifact, directory, told)
            except FetchError:
                if root not in self._lones:
                    raise
            else:
                return self.counts(artifact)

    async def share(self, artifact: Artifact, directory: Path) -> None:
        try:
            await self._torrents.share(artifact, directory)
        finally:
            if lone := self._lones.get(artifact.pieces_root):
                self._forget(lone)

    async def drop(self, artifact: Artifact) -> None:
        if lone := self._lones.get(artifact.pieces_root):
            lone.end(FetchError("the artifact is not wanted any more", reason="dropped"))
            self._forget(lone)
            async with lone.riding:
                await lone.leave()
        self._supplied.pop(artifact.pieces_root, None)
        await self._torrents.drop(artifact)

    def limit(self, allowance: Allowance) -> None:
        self._solitude.allowance = allowance
        self._torrents.limit(allowance)

    def set_peers(self, peers: Sequence[SwarmPeer]) -> None:
        self._solitude.peers = tuple(peers)
        self._torrents.set_peers(peers)

    async def supply(self, artifact: Artifact, directory: Path, layer: PieceLayer) -> None:
        root = artifact.pieces_root
        if lone := self._lones.get(root):
            if lone.supplied and not lone.over:
                return
            await self._hand_over(lone)
        self._joining[root] += 1
        try:
            await self._torrents.supply(artifact, directory, layer)
        except FetchError:
            if root not in self._lones:
                raise
        finally:
            self._joining[root] -= 1
        if root not in self._lones:
            self._supplied[root] = (directory, layer)

    async def inject(
        self, artifact: Artifact, piece: int, content: bytes, source: Injected
    ) -> None:
        lone = await self._still_alone(artifact)
        if lone is None and source is Injected.USB:
            lone = await self._arrive(artifact)
        if lone is not None:
            if await lone.take(piece, content, source):
                return
            await self._hand_over(lone)
        await self._torrents.inject(artifact, piece, content, source)

    def hold_back(self, artifact: Artifact, pieces: Collection[int]) -> None:
        self._torrents.hold_back(artifact, pieces)

    async def holdings(self, artifact: Artifact) -> Holdings:
        lone = await self._still_alone(artifact)
        if lone is not None:
            await lone.opened()
        if lone is None or lone.over:
            return await self._torrents.holdings(artifact)
        if lone.all_taken:
            await lone.flush()
        return Holdings(tuple(lone.here), (0,) * artifact.pieces)

    def counts(self, artifact: Artifact) -> ByteCounts:
        counts, lone = self._torrents.counts(artifact), self._lones.get(artifact.pieces_root)
        outside = self._outside.get(artifact.pieces_root, ByteCounts())
        own = lone.counts if lone else ByteCounts()
        return replace(
            own if lone else counts,
            received=own.received + outside.received + counts.received,
            sent=counts.sent,
            wasted=own.wasted + outside.wasted + counts.wasted,
        )

    # -- alone -----------------------------------------------------------------------------------

    async def _arrive(self, artifact: Artifact) -> Lone | None:
        """Take it out of BitTorrent, where a stick brings what nobody can have yet."""
        root = artifact.pieces_root
        wanted = root in self._supplied and root not in self._lones
        if not wanted or not self._solitude.may_arrive(artifact):
            return None
        directory, layer = self._supplied.pop(root)
        if self._torrents.counts(artifact).received:
            return None
        lone = self._lones[root] = Lone(artifact, directory, self._now(), supplied=True)
        try:
            await self._torrents.drop(artifact, keep=True)
            await lone.open(layer)
        except BaseException:
            self._forget(lone)
            raise
        if lone.over:
            return lone
        self._wires.arrivals[artifact.sha256] = lone.arrival(layer)
        log.info("swarm.arriving root=%s", root[:16])
        return lone

    async def _begin(self, artifact: Artifact, directory: Path) -> Lone | None:
        """The transfer without BitTorrent, where there can be one."""
        await self._torrents.listening()
        root = artifact.pieces_root
        if lone := self._lones.get(root):
            return lone
        known = self._torrents.counts(artifact).received or root in self._supplied
        if known or self._joining[root] or not self._solitude.may_ride(artifact):
            return None
        lone = self._lones[root] = Lone(artifact, directory, self._now(), supplied=False)
        try:
            layer = await asyncio.to_thread(kept_layer, artifact, directory)
            if layer is None:
                layer = await self._ask_layer(
                    artifact, lambda: self._solitude.may_ride(artifact) and not lone.over
                )
            if layer is not None and not lone.over:
                await lone.open(layer)
        except BaseException:
            self._forget(lone)
            raise
        if lone.failure:
            raise lone.failure
        if lone.layer is None or lone.over:
            self._solitude.slow.add(root)
            self._forget(lone)
            return None
        log.info("swarm.express root=%s", root[:16])
        return lone

    async def _remember(self, artifact: Artifact, directory: Path) -> None:
        """What an earlier run has left is found with the layer that it kept. With the layer, pieces
        that seeds hand out can be proved."""
        layer = await asyncio.to_thread(kept_layer, artifact, directory)
        asked = artifact.pieces_root in self._solitude.slow
        if layer is None and not asked and self._torrents.receiving.may(artifact):
            layer = await self._ask_layer(artifact, lambda: self._torrents.receiving.may(artifact))
        if layer is not None:
            await self._torrents.supply(artifact, directory, layer)

    async def _ask_layer(self, artifact: Artifact, useful: Callable[[], bool]) -> PieceLayer | None:
        """From any neighbour, soon: until then nothing of the artifact comes."""
        return await layers.from_neighbours(
            artifact,
            self._torrents.own,
            self._solitude.carriers,
            self._wires.ask_layer,
            useful=useful,
            blame=self._block,
        )

    def _block(self, host: str, why: UpdateError) -> None:
        self._solitude.block(host)
        log.warning("swarm.blocked host=%s why=wrong bytes by HTTP: %s", host, why)

    async def _alone(self, lone: Lone, progress: ProgressListener) -> bool:
        """True when it is complete here; false when BitTorrent goes on with it."""
        try:
            if not await self._bring(lone, progress):
                await self._hand_over(lone)
                return False
            await lone.complete()
        except BaseException:
            self._forget(lone)
            raise
        finally:
            await lone.leave()
        log.info("swarm.complete root=%s", lone.artifact.pieces_root[:16])
        progress(lone.report(self.counts(lone.artifact), len(self._solitude.peers)))
        return True

    async def _bring(self, lone: Lone, progress: ProgressListener) -> bool:
        """Tell of it until it is complete; false when it is not to go on alone."""
        if lone.supplied or lone.whole or lone.layer is None or lone.riding.locked():
            return await self._wait(lone, progress, None, set())
        async with lone.riding:
            ride = Ride(lone.layer, lone.file, lone.missing(), self._wires.stream)
            work = set(ride.begin(self._solitude.carriers()))
            try:
                return await self._wait(lone, progress, ride, work)
            finally:
                await ride.end()
                lone.landed(ride.landed)

    async def _wait(
        self,
        lone: Lone,
        progress: ProgressListener,
        ride: Ride | None,
        work: set[asyncio.Future[None]],
    ) -> bool:
        look_at, before = self._now() + LOOK, lone.done
        while True:
            if ride:
                lone.landed(ride.landed)
            if lone.failure:
                raise lone.failure
            progress(lone.report(self.counts(lone.artifact), len(self._solitude.peers)))
            if lone.whole:
                return True
            if lone.over or not self._goes_on(lone):
                return False
            if ride and not self._rides_well(lone, work):
                return False
            if ride and self._now() >= look_at:
                if lone.done - before < SLOWEST * LOOK:
                    log.info("swarm.express-slow root=%s", lone.artifact.pieces_root[:16])
                    return False
                look_at, before = self._now() + LOOK, lone.done
            await first_of(work, TICK)

    def _rides_well(self, lone: Lone, work: set[asyncio.Future[None]]) -> bool:
        """Whether no thread has failed; whoever sent wrong bytes is not asked again."""
        failed = False
        for each in tuple(work):
            if not each.done():
                continue
            work.discard(each)
            error = each.exception()
            if isinstance(error, WrongBytes):
                lone.wasted += error.wasted
                self._block(error.host, error)
            elif isinstance(error, UpdateError):
                log.info("swarm.express-failed error=%s", error)
            elif error is not None:
                raise error
            failed = failed or error is not None
        return not failed

    def _goes_on(self, lone: Lone) -> bool:
        if not lone.supplied:
            return self._solitude.may_ride(lone.artifact)
        if not self._solitude.may_arrive(lone.artifact):
            return False
        if self._solitude.peers and self._now() > lone.stirred + LOOK:
            return False
        arrival = self._wires.arrivals.get(lone.artifact.sha256)
        asked = max(lone.since, arrival.asked_at if arrival else 0.0)
        return not self._solitude.wanted or self._now() < asked + ASKED_WITHIN

    async def _still_alone(self, artifact: Artifact) -> Lone | None:
        lone = self._lones.get(artifact.pieces_root)
        if lone is None or not lone.supplied:
            return None
        if not lone.over and (lone.whole or self._goes_on(lone)):
            return lone
        await self._hand_over(lone)
        return self._lones.get(artifact.pieces_root)

    async def _hand_over(self, lone: Lone) -> None:
        """BitTorrent goes on with what is there, when nobody writes any more."""
        lone.over = True
        async with lone.moving, lone.riding:
            artifact = lone.artifact
            if self._lones.get(artifact.pieces_root) is not lone:
                return
            log.info("swarm.handed-over root=%s done=%d", artifact.pieces_root[:16], lone.done)
            self._solitude.slow.add(artifact.pieces_root)
            if lone.layer:
                await lone.flush()
            await lone.leave()
            self._forget(lone)
            if lone.layer:
                await self._torrents.supply(artifact, lone.directory, lone.layer)

    def _forget(self, lone: Lone) -> None:
        """It is not alone any more; what it has received and wasted still counts."""
        root = lone.artifact.pieces_root
        if self._lones.get(root) is not lone:
            return
        del self._lones[root]
        if arrival := self._wires.arrivals.pop(lone.artifact.sha256, None):
            arrival.end()
        lone.over = True
        outside, own = self._outside.get(root, ByteCounts()), lone.counts
        self._outside[root] = ByteCounts(
            received=outside.received + own.received, wasted=outside.wasted + own.wasted
        )

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
