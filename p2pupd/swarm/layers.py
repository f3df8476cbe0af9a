"""From whom a device has an artifact's piece layer, before it has anything else of it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from p2pupd.core.piece_layer import PieceLayer, layer_length
from p2pupd.errors import ContentError, UpdateError
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact
from p2pupd.swarm.interface import SwarmPeer
from p2pupd.swarm.mesh import layer_source
from p2pupd.swarm.over_http import AskLayer

WITHIN: Final = 4.0
ANSWER_WITHIN: Final = 1.5
"""Seconds in which the piece layer must be there, and in which one neighbour must have sent it."""
PAUSE: Final = 0.05
"""Seconds: a seed that accepted the release at the same time may just be opening its stick."""
PATIENCE: Final = 2.0
"""Seconds until a seed is asked, where another device was to be asked first."""

log = logging.getLogger(__name__)


async def from_neighbours(
    artifact: Artifact,
    own: DeviceId,
    carriers: Callable[[], Sequence[SwarmPeer]],
    ask: AskLayer,
    *,
    useful: Callable[[], bool],
    blame: Callable[[str, UpdateError], None],
) -> PieceLayer | None:
    """Its layer, proved. None when nobody gives it soon, or it is not `useful` any more.

    `carriers` are the neighbours of now that may be asked; `blame` is told who sent a wrong one.
    """
    loop = asyncio.get_running_loop()
    begun, turn = loop.time(), 0
    while loop.time() < begun + WITHIN and useful():
        known = carriers()
        seeds = [each for each in known if each.carries_all]
        if not seeds:
            break
        peer = layer_source(own, known)
        if peer is None or loop.time() > begun + PATIENCE:
            peer, turn = seeds[turn % len(seeds)], turn + 1
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                length = layer_length(artifact)
                raw = await ask(peer.host, peer.api_port, artifact.sha256, length)
            return await asyncio.to_thread(PieceLayer.proved, artifact, bytes(raw))
        except ContentError as error:
            blame(peer.host, error)
        except (UpdateError, TimeoutError) as error:
            log.info("swarm.no-layer host=%s error=%s", peer.host, error)
        await asyncio.sleep(PAUSE)
    return None
