"""The torrents of one open session: added, saved, settled, started over, removed.

Called by `LibtorrentSwarm` only, on the event loop. A torrent is known by its artifact's pieces
root, and lives in one directory at a time.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import libtorrent as lt

from p2pupd.core.allowance import Allowance
from p2pupd.core.piece_layer import PieceLayer
from p2pupd.errors import FetchError, UpdateError
from p2pupd.host.layer_files import keep_layer
from p2pupd.host.threads import to_the_end
from p2pupd.model.device import ByteCounts
from p2pupd.model.release import Artifact
from p2pupd.swarm import ledger, limiting, resume
from p2pupd.swarm.alerts import Removed, ResumeData, TorrentState
from p2pupd.swarm.handles import holdings
from p2pupd.swarm.hostility import StallWatch
from p2pupd.swarm.interface import Injected
from p2pupd.swarm.settings import SwarmSettings
from p2pupd.swarm.transfer import ANSWER_WITHIN, Transfer

Dress = Callable[[Transfer, lt.add_torrent_params], None]
"""Sets whom to call and which pieces to ask for first, just before a torrent is added."""

WORTH_WRITING: Final = 2 * 1024 * 1024
"""Bytes that must have come before they are sent to the disk."""
WRITE_EVERY: Final = 1.0
"""Seconds between two times that this is done, so that little is left at the end."""
PIPELINED: Final = 4 * 1024 * 1024
"""Bytes handed to the session before it is waited for: what injecting may hold in memory."""

log = logging.getLogger(__name__)


class Torrents:
    def __init__(self, settings: SwarmSettings, dress: Dress) -> None:
        self._settings = settings
        self._dress = dress
        self._transfers: dict[str, Transfer] = {}
        self._ended: dict[str, ByteCounts] = {}
        self._held_back: dict[str, frozenset[int]] = {}
        self._allowance = Allowance()
        self.session: lt.session | None = None

    def open(self, session: lt.session) -> None:
        """Torrents may be added from now on."""
        self.session = session
        self.limit(self._allowance)

    def limit(self, allowance: Allowance) -> None:
        """Keep to it from now on."""
        self._allowance = allowance
        if self.session:
            handles = {root: each.handle for root, each in self._transfers.items() if each.handle}
            limiting.apply(self.session, allowance, handles)

    def may_move(self, transfer: Transfer) -> bool:
        """Whether its payload may move now."""
        return self._allowance.moves(transfer.artifact.pieces_root)

    async def look_through(self, transfer: Transfer) -> None:
        """Find what is on disk, once the hashes are known by which it can be told."""
        if transfer.blind:
            await transfer.checked.wait()
            transfer.blind = False
            self.recheck(transfer)

    async def confirm(self, transfer: Transfer) -> None:
        """Compare the ledger of an earlier run with what was found, once that is known."""
        if transfer.ledger.confirmed or transfer.blind or not transfer.checked.is_set():
            return
        if transfer.handle is not None:
            held = await asyncio.to_thread(holdings, transfer.handle, transfer.artifact.pieces)
            if held.known and transfer.checked.is_set():
                transfer.ledger.confirm(held.here)

    def recheck(self, transfer: Transfer) -> None:
        """Look through its file again."""
        if transfer.handle is not None:
            transfer.checked.clear()
            limiting.recheck(transfer.handle, self._allowance, transfer.artifact.pieces_root)

    def __iter__(self) -> Iterator[Transfer]:
        return iter(tuple(self._transfers.values()))

    def __bool__(self) -> bool:
        return bool(self._transfers)

    def get(self, root: str) -> Transfer | None:
        """The one with that pieces root."""
        return self._transfers.get(root)

    def hold_back(self, root: str, pieces: frozenset[int]) -> Transfer | None:
        """Ask nobody for these, now and when it is added; the running one whose priorities are to
        be told to the session."""
        if pieces:
            self._held_back[root] = pieces
        else:
            self._held_back.pop(root, None)
        if transfer := self._transfers.get(root):
            transfer.hold_back(pieces)
        return transfer

    def counts(self, artifact: Artifact) -> ByteCounts:
        """Payload bytes of it, whether it is in the session or was."""
        if transfer := self._transfers.get(artifact.pieces_root):
            return transfer.counts
        return self._ended.get(artifact.pieces_root, ByteCounts())

    async def join(
        self,
        artifact: Artifact,
        directory: Path,
        *,
        complete: bool = False,
        layer: PieceLayer | None = None,
    ) -> Transfer:
        """The transfer of this artifact in this directory, added where it is not there yet.

        With a `layer` its pieces can be proved, and so injected.
        """
        root = artifact.pieces_root
        while known := self._transfers.get(root):
            if known.directory == directory and not known.leaving and known.failure is None:
                if layer is not None and known.layer is None and known.unfinished:
                    await self.teach(known, layer)
                return known
            await self.leave(known)
        transfer = self._transfers[root] = self._new(artifact, directory)
        transfer.layer = layer
        try:
            if layer is not None:
                await to_the_end(partial(keep_layer, layer, directory))
            kept = await asyncio.to_thread(ledger.read, artifact, directory)
            begin = await self._start(transfer, complete)
            if kept is not None and not begin.empty:
                transfer.ledger = kept
            transfer.tracked = begin.empty or kept is not None
            if transfer.failure:
                raise transfer.failure
            transfer.blind = begin.blind
            self._add(transfer, begin.parameters)
        except BaseException:
            self.forget(transfer)
            raise
        log.info("swarm.added root=%s searched=%s", root[:16], begin.searched)
        return transfer

    def _new(self, artifact: Artifact, directory: Path) -> Transfer:
        watch = StallWatch(self._settings.stall_after, asyncio.get_running_loop().time())
        transfer = Transfer(artifact, directory, self.counts(artifact), watch)
        transfer.hold_back(self._held_back.get(artifact.pieces_root, frozenset()))
        return transfer

    @staticmethod
    async def _start(transfer: Transfer, complete: bool) -> resume.Start:
        """How to add it. Somebody may teach it its layer while the disk is read."""
        artifact, directory = transfer.artifact, transfer.directory
        while True:
            layer = transfer.layer
            begin = await asyncio.to_thread(resume.start, artifact, directory, complete, layer)
            if transfer.layer is layer:
                return begin

    async def teach(self, transfer: Transfer, layer: PieceLayer) -> None:
        """Give a running torrent the hashes of its pieces: libtorrent takes them only at the start.

        Raises FetchError, HostError or SpaceError.
        """
        transfer.layer, untaught = layer, transfer.handle
        try:
            await to_the_end(partial(keep_layer, layer, transfer.directory))
        except BaseException:
            transfer.layer = None
            raise
        if untaught is not None:
            try:
                await transfer.checked.wait()
                await self.start_over(transfer)
                await self.look_through(transfer)
            finally:
                if transfer.handle is untaught:
                    transfer.layer = None
        if transfer.failure:
            raise transfer.failure

    def _add(self, transfer: Transfer, parameters: lt.add_torrent_params) -> None:
        if self.session is None:
            raise FetchError("the swarm has stopped", reason="stopped")
        self._dress(transfer, parameters)
        try:
            limiting.begin(parameters, self._allowance, transfer.artifact.pieces_root)
            transfer.handle = self.session.add_torrent(parameters)
        except RuntimeError as error:
            raise FetchError(f"cannot add {transfer.artifact.pieces_root}: {error}") from error

    async def settle(self, transfer: Transfer) -> None:
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
            transfer.ledger.expect_no_more()
            await self._write(transfer, data.content)
            transfer.durable = True
            transfer.handle.set_max_connections(self._settings.connections)
        log.info("swarm.complete root=%s", transfer.artifact.pieces_root[:16])

    async def keep(self, transfer: Transfer, now: float) -> bool:
        """Write resume data or content, if that is due `now`. Raises as `save` does."""
        if transfer.state.pieces > transfer.saved_pieces and now >= transfer.save_at:
            transfer.save_at = now + transfer.save_pause
            transfer.save_pause = min(self._settings.resume_interval, 2 * transfer.save_pause)
            await self.save(transfer)
            await self.look_through(transfer)
            return True
        if now >= transfer.write_at:
            transfer.write_at = now + WRITE_EVERY
            await self._write_out(transfer)
            return True
        return False

    @staticmethod
    async def _write_out(transfer: Transfer) -> None:
        """Send what has come to the disk, if it is worth it. Raises HostError or SpaceError."""
        if transfer.state.done - transfer.written >= WORTH_WRITING:
            transfer.written = transfer.state.done
            await asyncio.to_thread(resume.sync, transfer.artifact, transfer.directory)

    async def save(self, transfer: Transfer) -> bytes:
        """Write resume data of an unfinished transfer. Raises FetchError, HostError, SpaceError."""
        async with transfer.saving:
            if transfer.handle is None or transfer.leaving:
                raise FetchError("the transfer has ended")
            transfer.saved_pieces = transfer.state.pieces
            transfer.handle.save_resume_data(lt.save_resume_flags_t.flush_disk_cache)
            data = await transfer.next(ResumeData)
            await self._write(transfer, data.content)
            return data.content

    @staticmethod
    async def _write(transfer: Transfer, content: bytes) -> None:
        artifact, directory = transfer.artifact, transfer.directory
        if transfer.tracked:
            marks = transfer.ledger.marks
            await to_the_end(partial(ledger.write, marks, artifact, directory))
        await to_the_end(partial(resume.save, content, artifact, directory))

    @staticmethod
    async def _expect(transfer: Transfer, piece: int, source: Injected) -> None:
        """Note durably that this piece, and what is next, comes from there."""
        async with transfer.saving:
            if transfer.handle is None or transfer.leaving:
                raise FetchError("the artifact is not supplied any more", reason="stopped")
            artifact, directory = transfer.artifact, transfer.directory
            held = await asyncio.to_thread(holdings, transfer.handle, artifact.pieces)
            transfer.ledger.expect(piece, source, held.here)
            if transfer.tracked:
                marks = transfer.ledger.marks
                await to_the_end(partial(ledger.write_if_possible, marks, artifact, directory))

    async def inject(
        self, transfer: Transfer, piece: int, content: bytes, source: Injected
    ) -> None:
        """Hand a proved piece to the session, waiting when too much is on its way there."""
        await transfer.checked.wait()
        if transfer.failure:
            raise transfer.failure
        await self.confirm(transfer)
        if not transfer.ledger.expects(piece, source):
            await self._expect(transfer, piece, source)
        if transfer.handle is None or transfer.leaving or transfer.layer is None:
            raise FetchError("the artifact is not supplied any more", reason="stopped")
        transfer.ledger.mark(piece, source)
        if source is Injected.LAN:
            transfer.rescued += len(content)
        transfer.handle.add_piece(piece, content, 0)
        transfer.pipelined += len(content)
        if transfer.pipelined >= PIPELINED:
            transfer.pipelined = 0
            transfer.handle.post_status()
            await transfer.next(TorrentState)

    async def leave(self, transfer: Transfer) -> None:
        """Take it out of the session, with what it has written kept. Twice equals once."""
        if not transfer.leaving:
            try:
                transfer.ledger.expect_no_more()
                if transfer.handle and not transfer.durable and transfer.failure is None:
                    await self.save(transfer)
            except UpdateError as error:
                log.warning("swarm.resume-not-saved error=%s", error)
            finally:
                self._remove(transfer)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await transfer.gone.wait()
        except TimeoutError:
            log.warning("swarm.removal-unconfirmed root=%s", transfer.artifact.pieces_root[:16])
            self.forget(transfer)

    def _remove(self, transfer: Transfer) -> None:
        handle, transfer.leaving = transfer.handle, True
        if self.session and handle and handle.is_valid():
            handle.post_status()
            self.session.remove_torrent(handle)
        else:
            self.forget(transfer)

    def forget(self, transfer: Transfer) -> None:
        """It is out of the session; who still waits for it is told."""
        root = transfer.artifact.pieces_root
        self._ended[root] = transfer.counts
        if self._transfers.get(root) is transfer:
            del self._transfers[root]
        if not transfer.durable:
            transfer.end(FetchError("the transfer has ended", reason="stopped"))
        transfer.gone.set()

    async def start_over(self, transfer: Transfer) -> None:
        """Remove the torrent and add it again: that ends bans, and calls every neighbour anew."""
        transfer.checked.clear()
        try:
            content = await self.save(transfer)
        except BaseException:
            transfer.checked.set()
            raise
        async with transfer.saving:
            handle, transfer.handle = transfer.handle, None
            if self.session is None or handle is None or not transfer.unfinished:
                transfer.handle = handle
                transfer.checked.set()
                return
            hosts = ",".join(sorted(transfer.called))
            root = transfer.artifact.pieces_root[:16]
            log.warning("swarm.started-over root=%s hosts=%s", root, hosts)
            self.session.remove_torrent(handle)
            try:
                await transfer.next(Removed)
                if transfer.leaving:
                    transfer.checked.set()
                    return
                transfer.start_over()
                artifact, directory = transfer.artifact, transfer.directory
                self._add(transfer, resume.again(content, artifact, directory, transfer.layer))
            except UpdateError as error:
                transfer.end(error)
            except asyncio.CancelledError:
                transfer.end(FetchError("the transfer was interrupted", reason="stopped"))
                raise
