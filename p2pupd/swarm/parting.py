"""Who has its own share of the pieces leaves the seeds to the others, on a large floor.

A device that is served faster than others has its share sooner. If it went on asking the seeds, it
would ask for what others have asked for already: every such piece is sent twice. What is left comes
from the devices whose share it is; if nothing comes any more, the seeds are called again.
"""

import asyncio
from collections.abc import Collection, Iterable
from typing import Final

from p2pupd.model.ids import DeviceId
from p2pupd.swarm import handles, mesh
from p2pupd.swarm.interface import SwarmPeer
from p2pupd.swarm.transfer import Transfer

LARGE_FLOOR: Final = 16
"""With sixteen devices or fewer, leaving was not faster."""


async def look(transfer: Transfer, own: DeviceId, now: float) -> None:
    """Decide whether the seeds are still needed for it."""
    parting = transfer.parting
    parting.progress(transfer.state.done, now)
    if parting.open and len(transfer.home) > LARGE_FLOOR and _others(transfer):
        handle, pieces = transfer.handle, transfer.artifact.pieces
        if handle is None or transfer.layer is not None:
            return
        held = await asyncio.to_thread(handles.holdings, handle, pieces)
        share = mesh.share_of(pieces, own, transfer.home)
        if held.known and all(held.here[piece] for piece in share):
            parting.leave(now)


def avoided(transfers: Iterable[Transfer], peers: Collection[SwarmPeer]) -> frozenset[str]:
    """Addresses of the seeds, while no transfer of this device needs them."""
    parting = [each.parting.apart for each in transfers if each.unfinished]
    if not parting or not all(parting):
        return frozenset()
    return frozenset(each.host for each in peers if each.carries_all)


def _others(transfer: Transfer) -> bool:
    return any(not each.complete for each in transfer.met.values())
