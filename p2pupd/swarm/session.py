"""The swarm on libtorrent: one session, one transfer per artifact, alerts by file descriptor."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import libtorrent as lt

from p2pupd.core.allowance import Allowance
from p2pupd.errors import ContentError, FetchError, UpdateError
from p2pupd.model.device import ByteCounts
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact
from p2pupd.swarm import limiting, resume
from p2pupd.swarm.alerts import (
    Alert,
    AlertsLost,
    ListenFailed,
    PeerBanned,
    Removed,
    ResumeData,
    TorrentAlert,
    TorrentState,
    UnwantedBlock,
    pop,
)
from p2pupd.swarm.hostility import Blocklist, StallWatch
from p2pupd.swarm.interface import ProgressListener, SwarmPeer
from p2pupd.swarm.listening import Listening, is_address, listen
from p2pupd.swarm.settings import SwarmSettings
from p2pupd.swarm.torrent import home_pieces, request_queue
from p2pupd.swarm.transfer import ANSWER_WITHIN, Transfer

BUSY_TICK: Final = 0.25
IDLE_TICK: Final = 2.0
FEWEST_CONNECTIONS: Final = 2

log = logging.getLogger(__name__)


class LibtorrentSwarm:
    """The contract is `p2pupd.swarm.interface.Swarm`.

    `own` decides which share of the pieces this device asks for first. With `uploads` off nothing
    is ever sent to a neighbour. Methods may be called before `run`; they wait for it.
    """

    def __init__(self, own: DeviceId, settings: SwarmSettings, *, uploads: bool = True) -> None:
        self._own = own
        self._settings = settings
        self._uploads = uploads
        self._listening: Listening | None = None
        self._ready = asyncio.Event()
        self._rung, self._stirred = asyncio.Event(), asyncio.Event()
        self._peers: dict[DeviceId, SwarmPeer] = {}
        self._transfers: dict[str, Transfer] = {}
        self._ledger: dict[str, ByteCounts] = {}
        self._allowance = Allowance()
        self._blocks = Blocklist(settings.unwanted_blocks, settings.block_for)

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
        self.limit(self._allowance)
        self._ready.set()
        log.info("swarm.listening port=%d", listening.port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._drain(listening), name="swarm-alerts")
                group.create_task(self._watch(listening), name="swarm-watch")
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
                await self._settle(transfer)
                progress(transfer.report)
        finally:
            if not transfer.durable and not transfer.wanted:
                await self._leave(transfer)
        if not self._uploads:
            await self._leave(transfer)
        return self.counts(artifact)

    async def share(self, artifact: Artifact, directory: Path) -> None:
        known = self._transfers.get(artifact.pieces_root)
        transfer = await self._join(artifact, directory, complete=True)
        if transfer is known and transfer.unfinished and transfer.handle:
            transfer.checked.clear()
            limiting.recheck(transfer.handle, self._allowance, artifact.pieces_root)
        try:
            await transfer.checked.wait()
            if not transfer.finished.is_set():
                path = directory / artifact.pieces_root
                raise ContentError(f"{path} is not the complete artifact; it is not shared")
            await self._settle(transfer)
        finally:
            if not transfer.durable and not transfer.wanted:
                await self._leave(transfer)

    async def drop(self, artifact: Artifact) -> None:
        if transfer := self._transfers.get(artifact.pieces_root):
            transfer.end(FetchError("the artifact is not wanted any more", reason="dropped"))
            await self._leave(transfer)

    def limit(self, allowance: Allowance) -> None:
        self._allowance = allowance
        if self._listening:
            handles = {root: each.handle for root, each in self._transfers.items() if each.handle}
            limiting.apply(self._listening.session, allowance, handles)

    def set_peers(self, peers: Sequence[SwarmPeer]) -> None:
        before, fetching = self._peers, self._fetching
        self._peers = {peer.id: peer for peer in peers if is_address(peer.host)}
        self._apply_queue()
        for transfer in self._transfers.values():
            if transfer.handle is None or transfer.leaving:
                continue
            if transfer.unfinished and fetching != self._fetching:
                transfer.handle.prioritize_pieces(self._priorities(transfer.artifact))
            for peer in self._peers.values():
                if before.get(peer.id) != peer and not transfer.watch.alone:
                    transfer.handle.connect_peer((peer.host, peer.port))

    def counts(self, artifact: Artifact) -> ByteCounts:
        if transfer := self._transfers.get(artifact.pieces_root):
            return transfer.counts
        return self._ledger.get(artifact.pieces_root, ByteCounts())

    @property
    def _fetching(self) -> frozenset[DeviceId]:
        return frozenset(peer.id for peer in self._peers.values() if not peer.carries_all)

    def _priorities(self, artifact: Artifact) -> list[int]:
        return home_pieces(artifact.pieces, self._own, self._fetching)

    def _apply_queue(self) -> None:
        if self._listening:
            devices = min(len(self._fetching) + 1, self._settings.connections)
            self._listening.limit_requests(request_queue(self._settings.outstanding, devices))

    async def _join(
        self, artifact: Artifact, directory: Path, *, complete: bool = False
    ) -> Transfer:
        """The transfer of this artifact in this directory, added where it is not there yet."""
        await self._ready.wait()
        root = artifact.pieces_root
        while known := self._transfers.get(root):
            if known.directory == directory and not known.leaving and known.failure is None:
                return known
            await self._leave(known)
        now = asyncio.get_running_loop().time()
        watch = StallWatch(self._settings.stall_after, now)
        transfer = Transfer(artifact, directory, self.counts(artifact), watch)
        self._transfers[root] = transfer
        try:
            begin = await asyncio.to_thread(resume.start, artifact, directory, complete)
            if transfer.failure:
                raise transfer.failure
            transfer.blind = begin.blind
            self._add(transfer, begin.parameters, tuple(self._peers.values()))
        except BaseException:
            self._forget(transfer)
            raise
        self._stirred.set()
        log.info("swarm.added root=%s searched=%s", root[:16], begin.searched)
        return transfer

    def _add(
        self, transfer: Transfer, parameters: lt.add_torrent_params, peers: Sequence[SwarmPeer]
    ) -> None:
        if self._listening is None:
            raise FetchError("the swarm has stopped", reason="stopped")
        parameters.peers = [(peer.host, peer.port) for peer in peers]
        parameters.piece_priorities = self._priorities(transfer.artifact)
        alone = transfer.watch.alone
        parameters.max_connections = FEWEST_CONNECTIONS if alone else self._settings.connections
        try:
            limiting.begin(parameters, self._allowance, transfer.artifact.pieces_root)
            transfer.handle = self._listening.session.add_torrent(parameters)
        except RuntimeError as error:
            raise FetchError(f"cannot add {transfer.artifact.pieces_root}: {error}") from error

    async def _settle(self, transfer: Transfer) -> None:
        """Make a finished file durable, once. Raises what ended the transfer instead."""
        async with transfer.saving:
            if transfer.failure:
                raise transfer.failure
            if transfer.durable or transfer.handle is None:
                return
            transfer.handle.save_resume_data(lt.save_resume_flags_t.flush_disk_cache)
            data = await transfer.next(ResumeData)
            transfer.handle.post_status()
            await transfer.next(TorrentState)
            if transfer.failure:
                raise transfer.failure
            await asyncio.to_thread(resume.sync, transfer.artifact, transfer.directory)
            await asyncio.to_thread(
                resume.save, data.content, transfer.artifact, transfer.directory
            )
            transfer.durable = True
            transfer.handle.set_max_connections(self._settings.connections)
        log.info("swarm.complete root=%s", transfer.artifact.pieces_root[:16])

    async def _save(self, transfer: Transfer) -> bytes:
        """Write resume data of an unfinished transfer. Raises FetchError, HostError, SpaceError."""
        async with transfer.saving:
            if transfer.handle is None or transfer.leaving:
                raise FetchError("the transfer has ended")
            transfer.saved_pieces = transfer.state.pieces
            transfer.handle.save_resume_data(lt.save_resume_flags_t.flush_disk_cache)
            data = await transfer.next(ResumeData)
            await asyncio.to_thread(
                resume.save, data.content, transfer.artifact, transfer.directory
            )
            return data.content

    async def _leave(self, transfer: Transfer) -> None:
        """Take it out of the session, with what it has written kept. Twice equals once."""
        if not transfer.leaving:
            try:
                if transfer.handle and not transfer.durable and transfer.failure is None:
                    await self._save(transfer)
            except UpdateError as error:
                log.warning("swarm.resume-not-saved error=%s", error)
            finally:
                self._remove(transfer)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await transfer.gone.wait()
        except TimeoutError:
            log.warning("swarm.removal-unconfirmed root=%s", transfer.artifact.pieces_root[:16])
            self._forget(transfer)

    def _remove(self, transfer: Transfer) -> None:
        handle, transfer.leaving = transfer.handle, True
        if self._listening and handle and handle.is_valid():
            handle.post_status()
            self._listening.session.remove_torrent(handle)
        else:
            self._forget(transfer)

    def _forget(self, transfer: Transfer) -> None:
        self._ledger[root := transfer.artifact.pieces_root] = transfer.counts
        if self._transfers.get(root) is transfer:
            del self._transfers[root]
        if not transfer.durable:
            transfer.end(FetchError("the transfer has ended", reason="stopped"))
        transfer.gone.set()

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
                for transfer in self._transfers.values():
                    if transfer.handle:
                        transfer.handle.post_status()
            case _:
                pass
        if isinstance(alert, TorrentAlert) and (known := self._transfers.get(alert.root)):
            if isinstance(alert, PeerBanned) and known.watch.alone:
                known.watch.hurry()
                if self._blocks.block(alert.host, now):
                    self._block(alert.host, "wrong blocks")
            known.receive(alert)
            if isinstance(alert, Removed) and known.leaving:
                self._forget(known)

    def _block(self, host: str, why: str) -> None:
        log.warning("swarm.blocked host=%s why=%s", host, why)
        if self._listening:
            self._listening.filter(self._blocks.blocked)

    async def _watch(self, listening: Listening) -> None:
        """Ask for counters, save resume data, and restart what stands still."""
        while True:
            busy = any(transfer.unfinished for transfer in self._transfers.values())
            try:
                async with asyncio.timeout(BUSY_TICK if busy else IDLE_TICK):
                    await self._stirred.wait()
            except TimeoutError:
                pass
            self._stirred.clear()
            if self._transfers:
                listening.session.post_torrent_updates()
            now = asyncio.get_running_loop().time()
            if self._blocks.expire(now):
                listening.filter(self._blocks.blocked)
            for transfer in tuple(self._transfers.values()):
                await self._look_after(transfer, now)

    async def _look_after(self, transfer: Transfer, now: float) -> None:
        if transfer.failure and not transfer.wanted and not transfer.leaving:
            await self._leave(transfer)
        if not transfer.unfinished or transfer.handle is None:
            return
        root = transfer.artifact.pieces_root
        if not (transfer.checked.is_set() and self._peers and self._allowance.moves(root)):
            transfer.watch.rest(now)
        if not transfer.checked.is_set():
            return
        try:
            if transfer.state.pieces > transfer.saved_pieces and now >= transfer.save_at:
                transfer.save_at = now + transfer.save_pause
                transfer.save_pause = min(self._settings.resume_interval, 2 * transfer.save_pause)
                await self._save(transfer)
                if transfer.blind:
                    transfer.blind = False
                    transfer.checked.clear()
                    limiting.recheck(transfer.handle, self._allowance, root)
            elif transfer.watch.stalled(transfer.state.done, now, len(self._peers)):
                await self._start_over(transfer)
        except UpdateError as error:
            log.warning("swarm.resume-not-saved error=%s", error)

    async def _start_over(self, transfer: Transfer) -> None:
        """Remove the torrent and add it again: that ends bans, and calls every neighbour anew."""
        content = await self._save(transfer)
        async with transfer.saving:
            if self._listening is None or transfer.handle is None or not transfer.unfinished:
                return
            peers, root = self._candidates(transfer), transfer.artifact.pieces_root
            hosts = ",".join(peer.host for peer in peers)
            log.warning("swarm.start-over root=%s hosts=%s", root[:16], hosts)
            self._listening.session.remove_torrent(transfer.handle)
            try:
                await transfer.next(Removed)
                if transfer.leaving:
                    return
                transfer.start_over()
                parameters = resume.again(content, transfer.artifact, transfer.directory)
                self._add(transfer, parameters, peers)
            except UpdateError as error:
                transfer.end(error)

    def _candidates(self, transfer: Transfer) -> tuple[SwarmPeer, ...]:
        """Everyone, or the next one alone where somebody sent wrong pieces; seeds come first."""
        allowed = (peer for peer in self._peers.values() if peer.host not in self.blocked)
        known = {
            peer.host: peer
            for peer in sorted(allowed, key=lambda peer: (not peer.carries_all, peer.id))
        }
        return tuple(known[host] for host in transfer.watch.choose(tuple(known)))

    async def _close(self, listening: Listening) -> None:
        """Save what is unfinished, within the grace period, and end the session."""
        self._ready.clear()
        try:
            async with asyncio.timeout(self._settings.grace), asyncio.TaskGroup() as group:
                drain = group.create_task(self._drain(listening), name="swarm-last-alerts")
                async with asyncio.TaskGroup() as leaving:
                    for transfer in tuple(self._transfers.values()):
                        leaving.create_task(self._leave(transfer), name="swarm-leave")
                drain.cancel()
        except TimeoutError:
            log.warning("swarm.grace-over transfers=%d", len(self._transfers))
        for transfer in tuple(self._transfers.values()):
            self._forget(transfer)
        self._listening = None
        listening.close()
