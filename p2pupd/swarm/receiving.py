"""Takes the pieces that a seed hands out, and leaves the seeds alone in BitTorrent meanwhile.

Every piece is handed to one device, which shares it; so a seed sends little more than one copy,
however many devices there are. When no seed hands out, or what was handed to others does not come,
the seeds are asked in BitTorrent like everybody else.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from p2pupd.core.allowance import Allowance
from p2pupd.core.handout import bits, pays
from p2pupd.errors import ContentError, FetchError, NeighbourBusy, UpdateError
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
SHORTEST_TURN: Final = 1.0
"""Seconds after which a seed is asked anew, at the earliest."""
AT_ONCE: Final = 2
"""Artifacts that are handed out to one device: a seed answers few requests of it at a time, and
those about releases must be among them."""

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
        """A seed cannot be told how fast: with a rate to keep, BitTorrent does it. Nor is a device
        handed pieces that may send them on at a low rate only."""
        self._allowance = allowance

    @property
    def _unlimited(self) -> bool:
        return not (self._allowance.download or self._allowance.upload)

    def may(self, artifact: Artifact) -> bool:
        """Whether some seed may hand it out."""
        made = artifact.pieces_root in self.made
        worth_it = pays(artifact.length, self._devices, self._fewest, made=made)
        return worth_it and self._unlimited and bool(self._usable())

    def begin(self, transfer: Transfer) -> None:
        """It is about to be added: is it to leave the seeds alone from its first moment on?"""
        known = transfer.layer is not None and not transfer.watch.alone
        if known and transfer.unfinished and self.may(transfer.artifact):
            transfer.parting.begin(self._now())

    def tend(self, transfers: Collection[Transfer], group: asyncio.TaskGroup, now: float) -> None:
        """Begin, go on and end, as the transfers do; call it every now and then."""
        for transfer in transfers:
            if self._torrents.may_move(transfer):
                transfer.parting.progress(transfer.state.done, now)
            else:
                transfer.parting.rest(now)
            if not self._unlimited:
                transfer.parting.give_up()
        wanting = {each for each in transfers if self._wants(each)}
        for transfer in self._tasks.keys() - wanting:
            self._tasks.pop(transfer).cancel()
        for transfer in wanting - self._tasks.keys():
            if transfer.checked.is_set() and transfer.handle and len(self._tasks) < AT_ONCE:
                work = self._receive(transfer)
                self._tasks[transfer] = group.create_task(work, name="swarm-receive")

    def _wants(self, transfer: Transfer) -> bool:
        receives = transfer.parting.open and transfer.parting.apart and transfer.unfinished
        return receives and self._torrents.may_move(transfer)

    def _usable(self) -> list[SwarmPeer]:
        self._blocks.expire(self._now())
        return [each for each in self._seeds if each.host not in self._blocks.blocked]

    async def _receive(self, transfer: Transfer) -> None:
        """From one seed after the other, a turn each, as long as one has more: none can keep a
        device from the others by giving it little, or by saying that all was handed out."""
        left: set[str] = set()
        busy: Counter[str] = Counter()
        turn = _Turn(sum(self._own.encode()))
        while seeds := [each for each in self._usable() if each.host not in left]:
            seed = seeds[turn.number % len(seeds)]
            turn.number += 1
            try:
                if not await self._from(seed, transfer, turn):
                    left.add(seed.host)
                    transfer.parting.ebb(self._now())
            except NeighbourBusy as error:
                busy[seed.host] += 1
                if busy[seed.host] >= BUSY_TRIES:
                    left.add(seed.host)
                await asyncio.sleep(min(LONGEST_PAUSE, error.after) / len(seeds))
            except ContentError as error:
                self._blocks.block(seed.host, self._now())
                log.warning(
                    "swarm.blocked host=%s why=wrong piece handed out: %s", seed.host, error
                )
            except UpdateError as error:
                left.add(seed.host)
                log.info("swarm.no-handout host=%s error=%s", seed.host, error)
        if transfer.parting.over:
            transfer.parting.end()
        else:
            transfer.parting.give_up()

    async def _from(self, seed: SwarmPeer, transfer: Transfer, turn: "_Turn") -> bool:
        """True when it is to be asked anew; false when everything was handed out.

        What neighbours claim to have is not wanted, unless the turn before has brought nothing.
        """
        artifact, ask, begun, before = transfer.artifact, self._ask, self._now(), transfer.handed
        if ask is None or transfer.handle is None:
            raise FetchError("the transfer has ended", reason="stopped")
        held = await asyncio.to_thread(handles.holdings, transfer.handle, artifact.pieces)
        made, believed = transfer.held_back, turn.brought
        pairs = enumerate(zip(held.here, held.elsewhere, strict=True))
        unwanted = bits(
            [here or piece in made or (n > 0 and believed) for piece, (here, n) in pairs]
        )
        take = partial(self._take, transfer)
        more = await ask(seed.host, seed.api_port, artifact, unwanted, take)
        turn.brought = transfer.handed > before
        if more:
            await asyncio.sleep(begun + SHORTEST_TURN - self._now())
        return more

    async def _take(self, transfer: Transfer, piece: int, content: bytes) -> None:
        layer = transfer.layer
        if layer is None or not layer.matches(piece, content):
            raise ContentError(f"piece {piece} is not what was signed")
        await self._torrents.inject(transfer, piece, content, Injected.LAN)
        transfer.handed += len(content)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


@dataclass(slots=True)
class _Turn:
    """`number` chooses the seed; `brought`: the turn before has brought something."""

    number: int
    brought: bool = True


def avoided(transfers: Iterable[Transfer], peers: Collection[SwarmPeer]) -> frozenset[str]:
    """Addresses of the seeds, while no transfer of this device needs them in BitTorrent."""
    parting = [each.parting.apart for each in transfers if each.unfinished]
    if not parting or not all(parting):
        return frozenset()
    return frozenset(each.host for each in peers if each.carries_all)
