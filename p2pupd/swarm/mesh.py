"""Who calls whom for an artifact, and among whom its pieces are shared out.

Pure. On a small floor everyone calls everyone; on a larger one each device calls so many, chosen by
rank, and all that carry for others. Which ones are best is the order in which they are given.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from p2pupd.model.ids import DeviceId
from p2pupd.swarm.interface import SwarmPeer

OWN_SHARE: Final = 7
OTHERS_SHARE: Final = 1
FEWEST_REQUESTS: Final = 2
MOST_REQUESTS: Final = 250
BLOCK: Final = 16 * 1024
FAN_OUT: Final = 3
"""Devices that one hands its piece layer to: of small pieces it is 1/500 of the artifact."""


@dataclass(frozen=True, slots=True)
class Met:
    """A neighbour that an artifact's torrent is connected to; `complete`: it has every piece."""

    host: str
    complete: bool


def callees(peers: Sequence[SwarmPeer], degree: int, known: Collection[str]) -> list[SwarmPeer]:
    """Whom to call: all that carry for others or have an uplink, and others until `degree` are.

    `known` are hosts that need not be called: connected, or called before in vain. The connected
    among them count, so whoever did not answer is made up for.
    """
    unknown = [each for each in peers if each.host not in known]
    carriers = [each for each in unknown if each.carries_all or each.uplink]
    others = [each for each in unknown if not (each.carries_all or each.uplink)]
    return carriers + others[: max(0, degree)]


def sharers(
    own: DeviceId, peers: Sequence[SwarmPeer], called: Collection[str], met: Mapping[str, Met]
) -> frozenset[DeviceId]:
    """The devices that fetch it now, `own` among them: each has pieces to ask for first.

    Who was called, and is not connected, does not want it. Who was not called may.
    """
    fetching = {own}
    for each in peers:
        there = met.get(each.host)
        absent = there is None and each.host in called
        if not each.carries_all and not absent and not (there and there.complete):
            fetching.add(each.id)
    return frozenset(fetching)


def home_pieces(pieces: int, own: DeviceId, fetching: Collection[DeviceId]) -> list[int]:
    """A priority per piece: devices that start together each ask for another share first.

    The rank of `own` among all that fetch picks its share: equal shares, so that the devices end
    with them at the same time. Alone, every piece has the same priority.
    """
    priorities = [OTHERS_SHARE] * pieces
    everyone = sorted({own, *fetching})
    for piece in range(everyone.index(own), pieces, len(everyone)):
        priorities[piece] = OWN_SHARE
    return priorities


def layer_source(own: DeviceId, peers: Sequence[SwarmPeer]) -> SwarmPeer | None:
    """Which device to ask for a piece layer, so that not all ask a seed; None: a seed.

    The devices form a tree by rank. Every device may fetch something else, so this is a guess.
    """
    others = {each.id: each for each in peers if each.api_port and not each.carries_all}
    everyone = sorted({own, *others})
    rank = everyone.index(own)
    return others[everyone[(rank - FAN_OUT) // FAN_OUT]] if rank >= FAN_OUT else None


def request_queue(outstanding: int, fetching: int) -> int:
    """Blocks to have asked of one peer, so that `fetching` devices keep to `outstanding` bytes.

    One device alone cannot ask for what another one asks for too: its queue may be long.
    """
    if fetching <= 1:
        return MOST_REQUESTS
    return max(FEWEST_REQUESTS, min(MOST_REQUESTS, outstanding // BLOCK // fetching))
