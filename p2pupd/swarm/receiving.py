"""Takes the pieces that a seed hands out, and leaves the seeds alone in BitTorrent meanwhile.

Every piece is handed to one device, which shares it; so a seed sends little more than one copy,
however many devices there are. When no seed hands out, or what was handed to others does not come,
the seeds are asked in BitTorrent like everybody else.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Final

from p2pupd.core.allowance import Allowance
from p2pupd.core.handout import bits, pays
from p2pupd.errors import ContentError, NeighbourBusy, UpdateError
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact
from p2pupd.swarm import handles
from p2pupd.swarm.hostility import Blocklist
from p2pupd.swarm.interface import Injected, SwarmPeer
from p2pupd.swarm.over_http import AskHandout
from p2pupd.swarm.settings import SwarmSettings
from p2pupd.swarm.torrents import Torrents
from p2pupd.swarm.transfer import Transfer

BUSY_TRIES: Final = 5
"""How often a seed may say that it is busy."""
LONGEST_PAUSE: Final = 5.0
"""Seconds that a busy seed is waited for."""

log = logging.getLogger(__name__)


class Receiving:
    """For all transfers of one device. Its tasks belong to the group that `tend` is given.

    `made` are pieces roots of what devices make in part themselves.
    """

    def __init__(
        self, own: DeviceId, torrents: Torrents, ask: AskHandout | None, settings: SwarmSettings
    ) -> None:
        """Without `ask` no seed is asked: whoever gives nothing to others must not be handed
        anything."""
        self._own = own
        self._torrents = torrents
        self._ask = ask
        self.made: set[str] = set()
        self._fewest = settings.handout
        self._blocks = Blocklist(0, settings.block_for)
        self._devices = 1
        self._seeds: Sequence[SwarmPeer] = ()
        self._allowance = Allowance()
        self._tasks: dict[Transfer, asyncio.Task[None]] = {}

    def set_peers(self, peers: Sequence[SwarmPeer]) -> None:
        """The neighbours of now."""
        self._devices = 1 + sum(not each.carries_all for each in peers)
        seeds = [each for each in peers if self._ask and each.carries_all and each.api_port]
        self._seeds = sorted(seeds, key=lambda each: each.id)

    def limit(self, allowance: Allowance) -> None:
        """A seed cannot be told how fast: with a rate to keep, BitTorrent does it."""
        self._allowance = allowance

    def may(self, artifact: Artifact) -> bool:
        """Whether some seed may hand it out."""
        made = artifact.pieces_root in self.made
        worth_it = pays(artifact.length, self._devices, self._fewest, made=made)
        return worth_it and not self._allowance.download and bool(self._usable())

    def begin(self, transfer: Transfer) -> None:
        """It is about to be added: is it to leave the seeds alone from its first moment on?"""
        known = transfer.layer is not None and not transfer.watch.alone
        if known and transfer.unfinished and self.may(transfer.artifact):
            transfer.parting.begin()

    def tend(self, transfers: Collection[Transfer], group: asyncio.TaskGroup, now: float) -> None:
        """Begin, go on and end, as the transfers do; call it every now and then."""
        for transfer in transfers:
            transfer.parting.progress(transfer.state.done, now)
            if self._allowance.download:
                transfer.parting.give_up()
        wanting = {each for each in transfers if self._wants(each)}
        for transfer in self._tasks.keys() - wanting:
            self._tasks.pop(transfer).cancel()
        for transfer in wanting - self._tasks.keys():
            if transfer.checked.is_set() and transfer.handle:
                work = self._receive(transfer)
                self._tasks[transfer] = group.create_task(work, name="swarm-receive")

    def _wants(self, transfer: Transfer) -> bool:
        receives = transfer.parting.open and transfer.parting.apart and transfer.unfinished
        return receives and self._torrents.may_move(transfer)

    def _usable(self) -> list[SwarmPeer]:
        self._blocks.expire(self._now())
        return [each for each in self._seeds if each.host not in self._blocks.blocked]

    async def _receive(self, transfer: Transfer) -> None:
        """From one seed after the other, as long as they are there."""
        tried: set[str] = set()
        while seeds := [each for each in self._usable() if each.host not in tried]:
            seed = seeds[sum(self._own.encode()) % len(seeds)]
            tried.add(seed.host)
            try:
                if await self._from(seed, transfer):
                    transfer.parting.end(self._now())
                    return
            except ContentError as error:
                self._blocks.block(seed.host, self._now())
                log.warning(
                    "swarm.blocked host=%s why=wrong piece handed out: %s", seed.host, error
                )
            except UpdateError as error:
                log.info("swarm.no-handout host=%s error=%s", seed.host, error)
        transfer.parting.give_up()

    async def _from(self, seed: SwarmPeer, transfer: Transfer) -> bool:
        """True when everything was handed out; false when this seed is of no use."""
        artifact, ask, busy = transfer.artifact, self._ask, 0
        while ask and transfer.handle is not None and busy < BUSY_TRIES:
            held = await asyncio.to_thread(handles.holdings, transfer.handle, artifact.pieces)
            pairs = enumerate(zip(held.here, held.elsewhere, strict=True))
            made = transfer.held_back
            unwanted = bits([here or bool(n) or piece in made for piece, (here, n) in pairs])
            take = partial(self._take, transfer)
            try:
                if not await ask(seed.host, seed.api_port, artifact, unwanted, take):
                    return True
                busy = 0
            except NeighbourBusy as error:
                busy += 1
                await asyncio.sleep(min(LONGEST_PAUSE, error.after))
        return False

    async def _take(self, transfer: Transfer, piece: int, content: bytes) -> None:
        layer = transfer.layer
        if layer is None or not layer.matches(piece, content):
            raise ContentError(f"piece {piece} is not what was signed")
        await self._torrents.inject(transfer, piece, content, Injected.LAN)
        transfer.handed += len(content)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def avoided(transfers: Iterable[Transfer], peers: Collection[SwarmPeer]) -> frozenset[str]:
    """Addresses of the seeds, while no transfer of this device needs them in BitTorrent."""
    parting = [each.parting.apart for each in transfers if each.unfinished]
    if not parting or not all(parting):
        return frozenset()
    return frozenset(each.host for each in peers if each.carries_all)
