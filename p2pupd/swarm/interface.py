"""The contract of the swarm: artifacts in, artifacts out, by content."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from p2pupd.core.allowance import Allowance
from p2pupd.core.piece_layer import PieceLayer
from p2pupd.model.device import ByteCounts, TransferProgress
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact

ProgressListener = Callable[[TransferProgress], None]


@dataclass(frozen=True, slots=True)
class SwarmPeer:
    """A neighbour that may have artifacts. `carries_all` is true for seeds: they ask for nothing.
    One with an `uplink` may have pieces that nobody else has.

    `port` is that of its BitTorrent end, `api_port` that of its peer API; 0 where it has none.
    """

    id: DeviceId
    host: str
    port: int
    carries_all: bool
    api_port: int = 0
    uplink: bool = False


class Injected(StrEnum):
    """Where injected pieces came from, if not from neighbours by BitTorrent."""

    USB = "usb"
    UPLINK = "uplink"
    REUSE = "reuse"
    LAN = "lan"
    """From a neighbour, over HTTP."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """One entry a piece: `here`, and the number of connected neighbours that have it.

    `known`: the neighbours had time to connect; before that nothing follows from what lacks.
    """

    here: Sequence[bool]
    elsewhere: Sequence[int]
    known: bool = True


class Asking(Protocol):
    """Neighbours asked by HTTP, whatever brings the artifact. Both calls wait until somebody has
    it, as long as payload may move; end them by cancelling."""

    async def layer(self, artifact: Artifact) -> PieceLayer:
        """The piece layer, proved."""

    async def some(
        self, artifact: Artifact, layer: PieceLayer, pieces: Collection[int]
    ) -> Mapping[int, bytes]:
        """These pieces, each proved; they are not put into its file."""


class Swarm(Protocol):
    """File `directory / artifact.pieces_root` holds the bytes; the swarm reads and writes it."""

    async def run(self) -> None:
        """Drain alerts until cancelled; then write resume data and close within the grace period.

        Raises SwarmError when the session cannot listen.
        """

    async def fetch(
        self, artifact: Artifact, directory: Path, progress: ProgressListener
    ) -> ByteCounts:
        """Bring all pieces, each checked against the signed root, flushed to disk on return.

        Resumes from resume data beside the file without fetching verified pieces again.
        Goes on sharing after it returns. Cancelling it stops the transfer and keeps the pieces.
        Raises SpaceError (disk full while writing) or FetchError (disk error, damaged resume).
        Never gives up for lack of peers.
        """

    async def share(self, artifact: Artifact, directory: Path) -> None:
        """Offer a complete, already verified file to neighbours. Twice equals once."""

    async def drop(self, artifact: Artifact) -> None:
        """Stop sharing or fetching it; leaves the file alone. Unknown artifacts are fine."""

    def limit(self, allowance: Allowance) -> None:
        """Keep to it from now on: whether payload moves, and how fast."""

    def set_peers(self, peers: Sequence[SwarmPeer]) -> None:
        """The neighbours of now: connects new ones for every torrent, adapts the home pieces."""

    async def supply(self, artifact: Artifact, directory: Path, layer: PieceLayer) -> None:
        """Take part in it with proved piece hashes, so that `inject` can be called. Twice equals
        once, and it may be fetched at the same time. Raises SpaceError or FetchError."""

    async def inject(
        self, artifact: Artifact, piece: int, content: bytes, source: Injected
    ) -> None:
        """Put a proved piece into the file and offer it to neighbours; one that is there already
        is left alone. Returns when it was handed over, not when it is on disk.

        Raises FetchError when the artifact is not supplied any more.
        """

    def hold_back(self, artifact: Artifact, pieces: Collection[int]) -> None:
        """Ask nobody for these pieces, because they will be injected; ask for all others.

        Replaces what was held back before, and counts before it is fetched, too. A fetch does not
        end while pieces are held back that are not here. To be called of everything that devices
        may make in part, be it for no piece: then a seed is not asked for what another one makes.
        """

    async def holdings(self, artifact: Artifact) -> Holdings:
        """Which pieces are here, and how many neighbours have each."""

    def counts(self, artifact: Artifact) -> ByteCounts:
        """Payload bytes: by source what of it is here, which sums to that also after a restart;
        `sent` and `wasted` since this process first saw it."""
