"""Whether anybody else has use for an artifact's pieces: while nobody has, BitTorrent is left out.

Used on the event loop only.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from p2pupd.core.allowance import Allowance
from p2pupd.model.release import Artifact
from p2pupd.swarm.hostility import Blocklist
from p2pupd.swarm.interface import SwarmPeer

WORTH_IT: Final = 32 * 1024 * 1024
"""Bytes: a smaller artifact is there before it matters who brings it."""


class Solitude:
    """Judges by `peers` and `allowance`, which are those of now. `slow` are pieces roots of
    artifacts that are not tried again."""

    def __init__(self, block_for: float) -> None:
        """A neighbour that sent wrong bytes is not asked again for `block_for` seconds."""
        self.peers: Sequence[SwarmPeer] = ()
        self.allowance = Allowance()
        self.slow: set[str] = set()
        self._blocks = Blocklist(0, block_for)

    @property
    def blocked(self) -> frozenset[str]:
        """Addresses that sent wrong bytes."""
        return self._blocks.blocked

    def block(self, host: str) -> None:
        """It sent wrong bytes."""
        self._blocks.block(host, _now())

    def carriers(self) -> list[SwarmPeer]:
        """Neighbours that can be asked by HTTP."""
        self._blocks.expire(_now())
        return [peer for peer in self.peers if peer.api_port and peer.host not in self.blocked]

    def may_ride(self, artifact: Artifact) -> bool:
        """All neighbours carry for others, so nobody else wants its pieces from us."""
        return (
            self._may_move(artifact)
            and not self.allowance.download
            and bool(self.carriers())
            and all(peer.carries_all for peer in self.peers)
        )

    def may_arrive(self, artifact: Artifact) -> bool:
        """One neighbour at most wants it from us."""
        fetching = sum(not peer.carries_all for peer in self.peers)
        return self._may_move(artifact) and not self.allowance.upload and fetching <= 1

    @property
    def wanted(self) -> bool:
        """Some neighbour wants what we have."""
        return any(not peer.carries_all for peer in self.peers)

    def _may_move(self, artifact: Artifact) -> bool:
        root = artifact.pieces_root
        worth_it = artifact.length >= WORTH_IT and root not in self.slow
        return worth_it and self.allowance.moves(root)


def _now() -> float:
    return asyncio.get_running_loop().time()
