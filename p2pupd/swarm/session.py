"""The swarm on libtorrent: one session, alerts by file descriptor, peers, and who is blocked."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import libtorrent as lt

from p2pupd.core.allowance import Allowance
from p2pupd.core.piece_layer import PieceLayer
from p2pupd.errors import ContentError, FetchError, UpdateError
from p2pupd.model.device import ByteCounts
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact
from p2pupd.swarm import handles, mesh
from p2pupd.swarm.alerts import (
    Alert,
    AlertsLost,
    ListenFailed,
    PeerBanned,
    Removed,
    TorrentAlert,
    UnwantedBlock,
    pop,
)
from p2pupd.swarm.hostility import Blocklist
from p2pupd.swarm.interface import Holdings, Injected, ProgressListener, SwarmPeer
from p2pupd.swarm.listening import Listening, listen
from p2pupd.swarm.over_http import AskHandout, HttpPieces
from p2pupd.swarm.receiving import Receiving, avoided
from p2pupd.swarm.rescue import Rescue
from p2pupd.swarm.settings import SwarmSettings, is_address
from p2pupd.swarm.torrents import Torrents
from p2pupd.swarm.transfer import Transfer

BUSY_TICK: Final = 0.25
IDLE_TICK: Final = 2.0
ACQUAINTANCE: Final = 2.0
"""Seconds after which it is looked who has answered: then whoever has not does not want it."""
FEWEST_CONNECTIONS: Final = 2

log = logging.getLogger(__name__)


class LibtorrentSwarm:
    """The contract is `p2pupd.swarm.interface.Swarm`.

    `own` decides which share of the pieces this device asks for first. With `uploads` off nothing
    is ever sent to a neighbour; one that `carries_all` does not fetch beside the others. With
    `pieces`, what stands still comes by HTTP, and so does what only neighbours without BitTorrent
    have; with `handout`, seeds choose what they send.
    """

    def __init__(
        self,
        own: DeviceId,
        settings: SwarmSettings,
        *,
        uploads: bool = True,
        carries_all: bool = False,
        pieces: HttpPieces | None = None,
        handout: AskHandout | None = None,
    ) -> None:
        self.own = own
        self._settings = settings
        self._uploads = uploads
        self._carries_all = carries_all
        self._pieces = pieces
        self._only_http = False
        self._listening: Listening | None = None
        self._ready = asyncio.Event()
        self._rung, self._stirred = asyncio.Event(), asyncio.Event()
        self._peers: dict[DeviceId, SwarmPeer] = {}
        self._torrents = Torrents(settings, self._dress)
        self._blocks = Blocklist(settings.unwanted_blocks, settings.block_for)
        ask = handout if uploads and not carries_all else None
        self.receiving = Receiving(own, self._torrents, ask, settings)
        self._away: frozenset[str] = frozenset()

    @property
    def listen_port(self) -> int:
        """The TCP port that neighbours can reach; 0 until the session is open."""
        return self._listening.port if self._listening else 0

    async def listening(self) -> int:
        """Wait until the session is open; its port."""
        await self._ready.wait()
        return self.listen_port

    @property
    def blocked(self) -> frozenset[str]:
        """Addresses that are neither called nor answered, for what they did."""
        return self._blocks.blocked

    async def run(self) -> None:
        listening = await asyncio.to_thread(listen, self._settings, self._uploads)
        self._listening = listening
        loop = asyncio.get_running_loop()
        loop.add_reader(listening.alarm, self._rung.set)
        self._apply_queue()
        self._torrents.open(listening.session)
        self._ready.set()
        log.info("swarm.listening port=%d", listening.port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._drain(listening), name="swarm-alerts")
                group.create_task(self._watch(listening, group), name="swarm-watch")
        finally:
            await self._close(listening)
            loop.remove_reader(listening.alarm)

    async def fetch(
        self, artifact: Artifact, directory: Path, progress: ProgressListener
    ) -> ByteCounts:
        transfer = await self._join(artifact, directory)
        try:
            with transfer.reporting(progress):
                await transfer.finished.wait()
                await self._torrents.settle(transfer)
                progress(transfer.report)
        finally:
            await self._unless_wanted(transfer)
        if not self._uploads:
            await self._torrents.leave(transfer)
        return self.counts(artifact)

    async def share(self, artifact: Artifact, directory: Path) -> None:
        known = self._torrents.get(artifact.pieces_root)
        transfer = await self._join(artifact, directory, complete=True)
        if transfer is known and transfer.unfinished and transfer.handle:
            self._torrents.recheck(transfer)
        try:
            await transfer.checked.wait()
            if not transfer.finished.is_set():
                path = directory / artifact.pieces_root
                raise ContentError(f"{path} is not the complete artifact; it is not shared")
            await self._torrents.settle(transfer)
        finally:
            await self._unless_wanted(transfer)

    async def supply(self, artifact: Artifact, directory: Path, layer: PieceLayer) -> None:
        transfer = await self._join(artifact, directory, layer=layer)
        await transfer.checked.wait()
        if transfer.failure:
            raise transfer.failure

    async def inject(
        self, artifact: Artifact, piece: int, content: bytes, source: Injected
    ) -> None:
        transfer = self._torrents.get(artifact.pieces_root)
        if transfer is None:
            raise FetchError("the artifact is not supplied any more", reason="stopped")
        await self._torrents.inject(transfer, piece, content, source)

    def hold_back(self, artifact: Artifact, pieces: Collection[int]) -> None:
        self.receiving.made.add(artifact.pieces_root)
        if transfer := self._torrents.hold_back(artifact.pieces_root, frozenset(pieces)):
            transfer.prioritize(self.own)

    async def holdings(self, artifact: Artifact) -> Holdings:
        transfer = self._torrents.get(artifact.pieces_root)
        if transfer is None or transfer.handle is None or transfer.leaving:
            return Holdings((False,) * artifact.pieces, (0,) * artifact.pieces, known=False)
        known = transfer.checked.is_set() and (transfer.settled or not self._peers)
        found = await asyncio.to_thread(handles.holdings, transfer.handle, artifact.pieces)
        return replace(found, known=known and found.known)

    async def drop(self, artifact: Artifact, *, keep: bool = False) -> None:
        """To `keep` what is known of it, because somebody else goes on with it."""
        if transfer := self._torrents.get(artifact.pieces_root):
            if not keep:
                transfer.end(FetchError("the artifact is not wanted any more", reason="dropped"))
            await self._torrents.leave(transfer)

    def limit(self, allowance: Allowance) -> None:
        self._torrents.limit(allowance)
        self.receiving.limit(allowance)
        if self._pieces:
            self._pieces.limit(allowance)

    def set_peers(self, peers: Sequence[SwarmPeer]) -> None:
        before = self._peers
        self._peers = {peer.id: peer for peer in peers if peer.port and is_address(peer.host)}
        self._apply_queue()
        self.receiving.set_peers(peers)
        if self._pieces:
            self._only_http = any(peer.api_port and peer.id not in self._peers for peer in peers)
            self._pieces.set_peers(peers)
        for transfer in self._torrents:
            moved = {
                peer.host
                for peer in self._peers.values()
                if before.get(peer.id) not in (None, peer)
            }
            transfer.called -= moved
            transfer.called &= {peer.host for peer in self._peers.values()}
            self._call(transfer, transfer.called)
            self._share_out(transfer)

    def counts(self, artifact: Artifact) -> ByteCounts:
        return self._torrents.counts(artifact)

    # -- peers -----------------------------------------------------------------------------------

    async def _join(
        self,
        artifact: Artifact,
        directory: Path,
        *,
        complete: bool = False,
        layer: PieceLayer | None = None,
    ) -> Transfer:
        await self._ready.wait()
        transfer = await self._torrents.join(artifact, directory, complete=complete, layer=layer)
        self._stirred.set()
        return transfer

    async def _unless_wanted(self, transfer: Transfer) -> None:
        """Nobody in this process waits for it any more, and it is not whole: it leaves."""
        if not transfer.durable and not transfer.wanted:
            await self._torrents.leave(transfer)

    def _dress(self, transfer: Transfer, parameters: lt.add_torrent_params) -> None:
        """Whom to call and which pieces to ask for first, just before it is added."""
        alone = transfer.watch.alone
        self.receiving.begin(transfer)
        self._keep_away()
        allowed = [peer for peer in self._peers.values() if peer.host not in self._away]
        if alone:
            known = {
                peer.host: peer for peer in sorted(allowed, key=lambda peer: not peer.carries_all)
            }
            chosen = [known[host] for host in transfer.watch.choose(tuple(known))]
        else:
            chosen = mesh.callees(allowed, self._settings.degree, ())
        transfer.called = {peer.host for peer in chosen}
        transfer.met = {}
        transfer.settled = False
        transfer.look_at = asyncio.get_running_loop().time() + ACQUAINTANCE
        transfer.home = self._sharers(transfer)
        parameters.peers = [(peer.host, peer.port) for peer in chosen]
        parameters.piece_priorities = transfer.priorities(self.own)
        parameters.max_connections = FEWEST_CONNECTIONS if alone else self._settings.connections

    def _call(self, transfer: Transfer, known: set[str]) -> None:
        """Call neighbours until enough are connected, or were called."""
        if transfer.handle is None or transfer.leaving or transfer.watch.alone:
            return
        there = sum(
            peer.host in known and not (peer.carries_all or peer.uplink)
            for peer in self._peers.values()
        )
        peers = tuple(self._peers.values())
        for peer in mesh.callees(peers, self._settings.degree - there, transfer.called | known):
            transfer.handle.connect_peer((peer.host, peer.port))
            transfer.called.add(peer.host)

    def _sharers(self, transfer: Transfer) -> frozenset[DeviceId]:
        called = transfer.called if transfer.settled else frozenset[str]()
        return mesh.sharers(self.own, tuple(self._peers.values()), called, transfer.met)

    def _share_out(self, transfer: Transfer) -> None:
        """Share the pieces out anew when other devices fetch it than before."""
        if transfer.parting.apart:
            return
        sharers = self._sharers(transfer)
        if transfer.unfinished and transfer.handle and sharers != transfer.home:
            transfer.home = sharers
            transfer.prioritize(self.own)

    async def _look_around(self, transfer: Transfer, now: float) -> None:
        """See who is connected: make up for who did not come, share out among who did."""
        if now < transfer.look_at or transfer.handle is None or transfer.watch.alone:
            return
        transfer.look_at = now + ACQUAINTANCE
        met = await asyncio.to_thread(handles.met, transfer.handle)
        transfer.met = {each.host: each for each in met}
        transfer.settled = True
        self._call(transfer, set(transfer.met))
        self._share_out(transfer)

    def _apply_queue(self) -> None:
        if self._listening:
            others = sum(not peer.carries_all for peer in self._peers.values())
            fetching = min(others + (not self._carries_all), self._settings.connections)
            self._listening.limit_requests(mesh.request_queue(self._settings.outstanding, fetching))

    # -- alerts and time -------------------------------------------------------------------------

    async def _drain(self, listening: Listening) -> None:
        while True:
            await self._rung.wait()
            self._rung.clear()
            listening.hush()
            for alert in pop(listening.session):
                self._dispatch(alert)

    def _dispatch(self, alert: Alert) -> None:
        now = asyncio.get_running_loop().time()
        match alert:
            case UnwantedBlock(host=host) if self._blocks.unwanted(host, now):
                self._block(host, "unwanted blocks")
            case ListenFailed(message=message):
                log.warning("swarm.listen-failed error=%s", message)
            case AlertsLost():
                log.warning("swarm.alerts-lost")
                for transfer in self._torrents:
                    if transfer.handle:
                        transfer.handle.post_status()
            case _:
                pass
        if isinstance(alert, TorrentAlert) and (known := self._torrents.get(alert.root)):
            if isinstance(alert, PeerBanned) and known.watch.alone:
                known.watch.hurry()
                if self._blocks.block(alert.host, now):
                    self._block(alert.host, "wrong blocks")
            known.receive(alert)
            if isinstance(alert, Removed) and known.leaving:
                self._torrents.forget(known)

    def _block(self, host: str, why: str) -> None:
        log.warning("swarm.blocked host=%s why=%s", host, why)
        self._keep_away()

    def _keep_away(self) -> None:
        """Neither call nor answer who is blocked, nor seeds that are left to others."""
        away = self.blocked | avoided(self._torrents, self._peers.values())
        if self._listening is None or away == self._away:
            return
        back, self._away = self._away - away, away
        self._listening.filter(away)
        for transfer in self._torrents:
            transfer.called -= back
            self._call(transfer, set(transfer.met) - back)
            transfer.home = frozenset()
            self._share_out(transfer)

    async def _watch(self, listening: Listening, group: asyncio.TaskGroup) -> None:
        """Ask for counters, save resume data, restart what stands still, and get help for it."""
        pieces, stir = self._pieces, self._stirred.set
        rescue = Rescue(self._torrents, pieces, group, stir) if pieces else None
        while True:
            busy = any(transfer.unfinished for transfer in self._torrents)
            with suppress(TimeoutError):
                async with asyncio.timeout(BUSY_TICK if busy else IDLE_TICK):
                    await self._stirred.wait()
            self._stirred.clear()
            if self._torrents:
                listening.session.post_torrent_updates()
            now = asyncio.get_running_loop().time()
            self._blocks.expire(now)
            for transfer in self._torrents:
                await self._look_after(transfer, now)
            self.receiving.tend(list(self._torrents), group, now)
            self._keep_away()
            if rescue:
                await rescue.tend(self._torrents)

    async def _look_after(self, transfer: Transfer, now: float) -> None:
        if transfer.failure and not transfer.wanted and not transfer.leaving:
            await self._torrents.leave(transfer)
        if not transfer.unfinished or transfer.handle is None:
            return
        anyone = self._peers or self._only_http
        if not (transfer.checked.is_set() and anyone and self._torrents.may_move(transfer)):
            transfer.watch.rest(now)
        if not transfer.checked.is_set():
            return
        try:
            await self._torrents.confirm(transfer)
            await self._look_around(transfer, now)
            if await self._torrents.keep(transfer, now):
                return
            if transfer.stalled(now, len(self._peers)):
                transfer.parting.give_up()
                await self._torrents.start_over(transfer)
        except UpdateError as error:
            log.warning("swarm.resume-not-saved error=%s", error)

    async def _close(self, listening: Listening) -> None:
        """Save what is unfinished, within the grace period, and end the session."""
        self._ready.clear()
        try:
            async with asyncio.timeout(self._settings.grace), asyncio.TaskGroup() as group:
                drain = group.create_task(self._drain(listening), name="swarm-last-alerts")
                async with asyncio.TaskGroup() as leaving:
                    for transfer in self._torrents:
                        leaving.create_task(self._torrents.leave(transfer), name="swarm-leave")
                drain.cancel()
        except TimeoutError:
            log.warning("swarm.grace-over transfers=%d", len(list(self._torrents)))
        for transfer in self._torrents:
            self._torrents.forget(transfer)
        self._torrents.session = None
        self._listening = None
        listening.close()
