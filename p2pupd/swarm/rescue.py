"""Pieces by HTTP for torrents that stand still: the way out where BitTorrent is blocked, or lies.

A neighbour whose BitTorrent port nobody reaches, or who brings nothing but wrong blocks, may still
hand out the artifact by its peer API. Each piece is proved before it gets into the session.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from p2pupd.core.piece_layer import PieceLayer
from p2pupd.errors import UpdateError
from p2pupd.host.layer_files import kept_layer
from p2pupd.swarm.handles import holdings
from p2pupd.swarm.interface import Injected
from p2pupd.swarm.over_http import HttpPieces
from p2pupd.swarm.torrents import Torrents
from p2pupd.swarm.transfer import Transfer

log = logging.getLogger(__name__)


class _Run:
    """One transfer that is being helped. `missing` are pieces to bring, in order; `recent` those
    that were put since the last look.
    """

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer
        self.layer = transfer.layer
        self.missing: dict[int, None] = {}
        self.recent: set[int] = set()
        self.task: asyncio.Task[None] | None = None

    def look(self, here: Sequence[bool]) -> None:
        """What is there now; what is on its way to the disk is not asked for again."""
        self.missing = dict.fromkeys(
            piece for piece, there in enumerate(here) if not there and piece not in self.recent
        )
        self.recent.clear()

    def wanted(self) -> list[int]:
        """Pieces to bring, in order."""
        return list(self.missing) if self.transfer.unfinished else []

    def end(self) -> None:
        """No range is asked for any more."""
        if self.task:
            self.task.cancel()


class Rescue:
    """Its tasks belong to `group`. `tend` removes and adds torrents, so it is called by one task,
    which is cancelled only when the session ends.
    """

    def __init__(
        self,
        torrents: Torrents,
        pieces: HttpPieces,
        group: asyncio.TaskGroup,
        stir: Callable[[], None],
    ) -> None:
        """`stir` is called when there is something to do for `tend`."""
        self._torrents = torrents
        self._pieces = pieces
        self._group = group
        self._stir = stir
        self._runs: dict[Transfer, _Run] = {}

    async def tend(self, transfers: Iterable[Transfer]) -> None:
        """Begin, go on and end, as BitTorrent does; call it every now and then."""
        helpless = {each for each in transfers if self._needs_help(each)}
        for transfer in self._runs.keys() - helpless:
            self._runs.pop(transfer).end()
            log.info("swarm.rescue-ended root=%s", transfer.artifact.pieces_root[:16])
        for transfer in helpless:
            run = self._runs.get(transfer)
            if run is None:
                run = self._runs[transfer] = _Run(transfer)
                log.warning("swarm.rescue-begun root=%s", transfer.artifact.pieces_root[:16])
            try:
                await self._go_on(run)
            except UpdateError as error:
                log.warning("swarm.rescue-failed error=%s", error)

    def _needs_help(self, transfer: Transfer) -> bool:
        return transfer.unfinished and transfer.watch.helpless and self._torrents.may_move(transfer)

    async def _go_on(self, run: _Run) -> None:
        """Learn the hashes of the pieces, teach them to the session, then bring what is missing."""
        transfer, busy = run.transfer, run.task is not None and not run.task.done()
        if run.layer is None:
            if not busy:
                run.task = self._group.create_task(self._learn(run), name="swarm-rescue-layer")
            return
        if not transfer.checked.is_set():
            return
        if transfer.layer is None:
            await self._torrents.teach(transfer, run.layer)
        if transfer.handle:
            pieces = transfer.artifact.pieces
            held = await asyncio.to_thread(holdings, transfer.handle, pieces)
            if transfer.checked.is_set():
                run.look(held.here)
                self._pieces.stir()
        if run.missing and not busy:
            bringing = self._bring(run, run.layer)
            run.task = self._group.create_task(bringing, name="swarm-rescue")

    async def _learn(self, run: _Run) -> None:
        transfer = run.transfer
        kept = await asyncio.to_thread(kept_layer, transfer.artifact, transfer.directory)
        run.layer = kept or await self._pieces.layer(transfer.artifact, lambda: transfer.layer)
        self._stir()

    async def _bring(self, run: _Run, layer: PieceLayer) -> None:
        put = partial(self._put, run)
        try:
            await self._pieces.bring(run.transfer.artifact, layer, run.wanted, put)
        except UpdateError as error:
            log.info("swarm.rescue-interrupted error=%s", error)

    async def _put(self, run: _Run, piece: int, content: bytes) -> None:
        run.recent.add(piece)
        run.missing.pop(piece, None)
        await self._torrents.inject(run.transfer, piece, content, Injected.LAN)
