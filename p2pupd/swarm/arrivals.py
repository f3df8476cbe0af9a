"""What arrives without BitTorrent, so that the peer API can hand it on while it does.

Also what `ExpressSwarm` needs of HTTP, of which nothing is known here.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact
from p2pupd.swarm.over_http import AskHandout, AskLayer

LONGEST_PART: Final = 64 * 1024 * 1024
"""Bytes: a longer part of a file that arrives is not waited for."""

Sink = Callable[[memoryview], None]
"""Takes the next bytes; what it raises ends the answer."""
Opened = Callable[[Callable[[], None]], None]
"""Is told, when a connection is made, how to break it from another thread."""
Stream = Callable[[str, int, Sha256, range, memoryview, Sink, Opened], None]
"""RangeClient.stream: (host, port, SHA-256, bytes, buffer, sink, opened). Blocks.
Raises NeighbourBusy, FetchError or ProtocolError, and what the sink raises."""


class Arrival:
    """An artifact of which proved pieces are in the file at `path`; `layer` is its piece layer.

    `asked_at` is when a neighbour last asked for a part, or got some of it, on the event loop's
    clock.
    """

    def __init__(self, artifact: Artifact, path: Path, layer: bytes, here: Sequence[bool]) -> None:
        self.path = path
        self.layer = layer
        self.asked_at = 0.0
        self._artifact = artifact
        self._here = here
        self._over = False
        self._news = asyncio.Event()

    async def has(self, start: int, count: int) -> bool:
        """Wait until `count` bytes from `start` are there; False where that will not be known."""
        artifact = self._artifact
        if count > LONGEST_PART or start + count > artifact.length:
            return False
        size = artifact.piece_length
        wanted = slice(start // size, -(-(start + count) // size))
        while not self._over:
            self.sent()
            if all(self._here[wanted]):
                return True
            await self._news.wait()
        return False

    def sent(self) -> None:
        """A part of it goes to a neighbour, who asks for the next one afterwards."""
        self.asked_at = asyncio.get_running_loop().time()

    def changed(self) -> None:
        """More pieces are there."""
        self._news.set()
        self._news = asyncio.Event()

    def end(self) -> None:
        """It does not arrive in this way any more."""
        self._over = True
        self.changed()


class Arrivals(dict[Sha256, Arrival]):
    """All of now, by SHA-256."""


@dataclass(frozen=True, slots=True)
class Wires:
    """How to ask neighbours, and where they see what arrives."""

    ask_layer: AskLayer
    stream: Stream
    handout: AskHandout
    arrivals: Arrivals = field(default_factory=Arrivals)
