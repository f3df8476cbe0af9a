"""What neighbours may have: verified files, proved parts of those that are fetched, and the piece
layers of both; of a leech nothing."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from p2pupd.core.piece_layer import PieceLayer
from p2pupd.engine.tasks import Tasks
from p2pupd.errors import UpdateError
from p2pupd.host.layer_files import kept_layer
from p2pupd.model.device import Role
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact
from p2pupd.store.interface import Store, StoredObject
from p2pupd.swarm.arrivals import LONGEST_PART, Arrivals
from p2pupd.swarm.interface import Holdings

LAYER_COUNTS: Final = 2.0
"""Seconds for which a layer that was read is given to all who ask: proving it takes a tenth of one
for a large artifact."""
LAYER_TICK: Final = 0.03
"""Seconds between two looks for the layer of what arrives. The caller bounds how often."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Reading:
    """A layer that is being read; `found` counts when `ended` is set."""

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    found: bytes | None = None


class Served:
    """Behind the peer API."""

    def __init__(
        self,
        store: Store,
        role: Role,
        tasks: Tasks,
        arrivals: Arrivals,
        holdings: Callable[[Artifact], Awaitable[Holdings]],
    ) -> None:
        """`holdings` tells which pieces of an artifact that is still fetched are here."""
        self._holdings = holdings
        self._store = store
        self._arrivals = arrivals
        self._role = role
        self._tasks = tasks
        self._readings: dict[Sha256, _Reading] = {}
        self._one_file = asyncio.Lock()
        self._sent: Counter[Sha256] = Counter()

    async def artifact(self, sha256: Sha256, part: tuple[int, int] | None = None) -> Path | None:
        """The file of a verified artifact, or of one that is arriving, once it has that part."""
        if self._role is Role.LEECH:
            return None
        if part is not None and (arrival := self._arrivals.get(sha256)):
            return arrival.path if await arrival.has(*part) else None
        found = await asyncio.to_thread(self._store.find, sha256)
        if found is None or found.verified:
            return found.path if found else None
        return found.path if part and await self._has(found, *part) else None

    async def _has(self, found: StoredObject, start: int, count: int) -> bool:
        """Whether the pieces of that part are here, and on the disk: they may be here before."""
        artifact = found.artifact
        if not 0 < start + count <= artifact.length or count > LONGEST_PART:
            return False
        size = artifact.piece_length
        pieces = range(start // size, -(-(start + count) // size))
        held = await self._holdings(artifact)
        if not all(held.here[piece] for piece in pieces):
            return False
        raw = await self.layer(artifact.sha256)
        layer = PieceLayer(artifact, raw) if raw else None
        return layer is not None and await asyncio.to_thread(_right, found.path, layer, pieces)

    def sent(self, sha256: Sha256, amount: int) -> None:
        """So many more bytes of it went to a neighbour."""
        self._sent[sha256] += amount
        if arrival := self._arrivals.get(sha256):
            arrival.sent()

    def handed_out(self, sha256: Sha256) -> int:
        """Bytes of it that went to neighbours since the start."""
        return self._sent[sha256]

    async def layer(self, sha256: Sha256) -> bytes | None:
        """Its encoded piece layer, also while it arrives, where that is known then.

        However many ask for it, and however soon they hang up, its file is read and proved once in
        a while, and one file at a time: callers cannot hold all threads, nor the processor.
        """
        if self._role is Role.LEECH:
            return None
        if arrival := self._arrivals.get(sha256):
            return arrival.layer
        while (found := await asyncio.to_thread(self._store.find, sha256)) is not None:
            reading = self._readings.get(sha256)
            if reading is None:
                reading = self._readings[sha256] = _Reading()
                self._tasks.start(f"layer {sha256[:12]}", self._read(found, reading))
            await reading.ended.wait()
            if reading.found is not None or found.verified:
                return reading.found
            await asyncio.sleep(LAYER_TICK)
        return None

    async def _read(self, found: StoredObject, reading: _Reading) -> None:
        """It counts for a while; while there is none, it is looked again at once."""
        sha256 = found.artifact.sha256
        try:
            async with self._one_file:
                reading.found = await asyncio.to_thread(self._layer, found)
            reading.ended.set()
            if reading.found is not None:
                await asyncio.sleep(LAYER_COUNTS)
        except UpdateError as error:
            log.warning("served.no-layer sha256=%s error=%s", sha256, error)
        finally:
            del self._readings[sha256]
            reading.ended.set()

    def _layer(self, found: StoredObject) -> bytes | None:
        if found.verified:
            return self._store.layer(found.artifact.sha256)
        kept = kept_layer(found.artifact, found.path.parent)
        return None if kept is None else kept.hashes


def _right(path: Path, layer: PieceLayer, pieces: range) -> bool:
    size = layer.artifact.piece_length
    try:
        with path.open("rb") as file:
            file.seek(pieces.start * size)
            return all(layer.matches(piece, file.read(size)) for piece in pieces)
    except OSError:
        return False
