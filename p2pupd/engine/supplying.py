"""Puts the pieces of sticks and uplinks into the swarm, each proved: shared while still arriving.

One `Supplier` for all transfers; it decides nothing about sources, and raises what they raise.
"""

import asyncio
import io
import math
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from p2pupd.core import uplink
from p2pupd.core.piece_layer import PieceLayer, layer_length, length_of_piece
from p2pupd.errors import ContentError, UpdateError
from p2pupd.feeds.interface import ContentOpener, LayerOpener, RemoteContent
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact, Release
from p2pupd.swarm.interface import Holdings, Injected, Swarm

READ: Final = 1024 * 1024
"""Bytes read from a stick at once, at least a piece."""
LOOK_EVERY: Final = 4 * 1024 * 1024
"""Bytes after which it is looked what neighbours have brought meanwhile."""
WORKERS: Final = 2
"""Ranges asked of an uplink at the same time: while one travels the other is asked for."""
AGAIN_AFTER: Final = 1.0
"""Seconds until a stick is read once more for pieces that did not stay."""
CLAIMED_FOR: Final = 10.0
"""Seconds in which a piece that was handed over must have been seen as here."""
PAUSE: Final = 0.25
"""Seconds until it is looked again whether there is something to bring by the uplink."""


Moves = Callable[[str], bool]
"""Whether payload of the artifact with that pieces root may move now."""


class NotTheSource(Exception):
    """Something of our own failed while a source was read: the disk, or the swarm."""

    def __init__(self, error: UpdateError) -> None:
        super().__init__(str(error))
        self.error = error


class Supplier:
    """`own` and `uplinks` decide the share that this device brings by its uplink, `moves` when.

    What a source cannot do is raised as it comes: SourceGone, ContentError, UnsafeMedia, or
    FetchError. What fails on this side is raised as NotTheSource.
    """

    def __init__(
        self,
        swarm: Swarm,
        own: DeviceId,
        uplinks: Callable[[], Collection[DeviceId]],
        moves: Moves = lambda _: True,
    ) -> None:
        self.awaited: dict[str, frozenset[int]] = {}
        """By pieces root: pieces that this device makes itself, so that no source need bring."""
        self._swarm = swarm
        self._own = own
        self._uplinks = uplinks
        self._moves = moves

    async def layer_of(
        self, release: Release, opener: LayerOpener | None, remote: RemoteContent | None
    ) -> PieceLayer | None:
        """What a source knows about the pieces, proved; None where it has nothing right to say."""
        raw: bytes | None = None
        if remote is not None:
            raw = await remote.layer(release)
        elif opener is not None:
            raw = await asyncio.to_thread(opener, release)
        if raw is None or len(raw) != layer_length(release.artifact):
            return None
        try:
            return await asyncio.to_thread(PieceLayer.proved, release.artifact, raw)
        except ContentError:
            return None

    async def join(self, release: Release, directory: Path, layer: PieceLayer) -> None:
        """Make the swarm ready for pieces of it."""
        with _own_side():
            await self._swarm.supply(release.artifact, directory, layer)

    async def from_stick(self, release: Release, layer: PieceLayer, opener: ContentOpener) -> None:
        """Inject what is missing until everything is here, reading forwards, as sticks like it.

        A piece that was injected and did not stay is read once more.
        """
        artifact = release.artifact
        file = await asyncio.to_thread(opener, release)
        try:
            while not all((await self._held(artifact)).here):
                start = 0
                while start < artifact.pieces:
                    here = self._coming(artifact, (await self._held(artifact)).here)
                    end = min(artifact.pieces, start + _pieces(artifact, LOOK_EVERY))
                    for run in _runs(here, start, end, _pieces(artifact, READ)):
                        pieces = await asyncio.to_thread(read_pieces, file, layer, run)
                        await self._inject(artifact, pieces, Injected.USB)
                    start = end
                if not all((await self._held(artifact)).here):
                    await asyncio.sleep(AGAIN_AFTER)
        finally:
            await asyncio.to_thread(file.close)

    async def from_uplink(self, release: Release, layer: PieceLayer, remote: RemoteContent) -> None:
        """Inject what nobody on the floor has, until everything is here."""
        claims = _Claims()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(WORKERS):
                    work = self._pull(release, layer, remote, claims)
                    group.create_task(work, name=f"uplink {number}")
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors

    async def _pull(
        self, release: Release, layer: PieceLayer, remote: RemoteContent, claims: "_Claims"
    ) -> None:
        artifact, loop = release.artifact, asyncio.get_running_loop()
        busy, took = loop.time(), 0.0
        while True:
            held = await self._held(artifact)
            if held.known and all(held.here):
                return
            now = loop.time()
            here = self._coming(artifact, held.here)
            lack = uplink.Lack(here, held.elsewhere, claims.now(now))
            patience = max(uplink.HELP_AFTER, 2 * took)
            if not held.known or not self._moves(artifact.pieces_root):
                busy, run = now, uplink.Run(range(0), share=False)
            else:
                others = self._uplinks()
                run = uplink.next_run(
                    artifact, self._own, others, lack, now - busy, patience=patience
                )
            if not run.pieces:
                await asyncio.sleep(PAUSE)
                continue
            with claims.of(run.pieces):
                start, count = uplink.bytes_of(artifact, run.pieces)
                raw = await remote.read(release, start, count)
                pieces = await asyncio.to_thread(proved_pieces, layer, run.pieces, raw)
                await self._inject(artifact, pieces, Injected.UPLINK)
            if run.share:
                busy, took = loop.time(), loop.time() - now

    def _coming(self, artifact: Artifact, here: Sequence[bool]) -> list[bool]:
        """What is here, or need not be brought."""
        awaited = self.awaited.get(artifact.pieces_root, frozenset())
        return [there or piece in awaited for piece, there in enumerate(here)]

    async def _held(self, artifact: Artifact) -> Holdings:
        with _own_side():
            return await self._swarm.holdings(artifact)

    async def _inject(
        self, artifact: Artifact, pieces: list[tuple[int, bytes]], source: Injected
    ) -> None:
        with _own_side():
            for piece, content in pieces:
                await self._swarm.inject(artifact, piece, content, source)


class _Claims:
    """Pieces that need not be asked for: under way, or brought just now and not yet seen here."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}

    def now(self, now: float) -> set[int]:
        """Those that count; what was brought and is still not here is to be had once more."""
        self._until = {piece: until for piece, until in self._until.items() if until > now}
        return set(self._until)

    @contextmanager
    def of(self, pieces: range) -> Iterator[None]:
        """Claim them for the block, and a while longer."""
        self._until.update(dict.fromkeys(pieces, math.inf))
        try:
            yield
        finally:
            until = asyncio.get_running_loop().time() + CLAIMED_FOR
            self._until.update(dict.fromkeys(pieces, until))


@contextmanager
def _own_side() -> Iterator[None]:
    try:
        yield
    except UpdateError as error:
        raise NotTheSource(error) from error


class RemoteFile(io.RawIOBase):
    """What an uplink has as a file to be read in a thread, for a target without a piece layer."""

    def __init__(
        self,
        release: Release,
        remote: RemoteContent,
        loop: asyncio.AbstractEventLoop,
        moves: Callable[[], bool] = lambda: True,
    ) -> None:
        """`moves` tells whether payload may move now, and raises where nobody waits for it."""
        super().__init__()
        self._moves = moves
        self._release = release
        self._remote = remote
        self._loop = loop
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._release.artifact.length}
        self._at = base[whence] + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self._release.artifact.length - self._at)
        if count <= 0:
            return 0
        raw = asyncio.run_coroutine_threadsafe(self._read(count), self._loop).result()
        buffer[: len(raw)] = raw
        self._at += len(raw)
        return len(raw)

    async def _read(self, count: int) -> bytes:
        while True:
            if self._moves():
                return await self._remote.read(self._release, self._at, count)
            await asyncio.sleep(PAUSE)


def _pieces(artifact: Artifact, count: int) -> int:
    return max(1, count // artifact.piece_length)


def _runs(here: Collection[bool], start: int, end: int, most: int) -> Iterator[range]:
    """The missing pieces from `start` to `end`, adjoining ones together, `most` at a time."""
    missing = [not there for there in here][start:end]
    first: int | None = None
    for piece, wanted in enumerate([*missing, False], start):
        if first is not None and (not wanted or piece - first == most):
            yield range(first, piece)
            first = None
        if wanted and first is None:
            first = piece


def read_pieces(file: BinaryIO, layer: PieceLayer, run: range) -> list[tuple[int, bytes]]:
    """The pieces of `run` from the carried file, proved. Blocks. Raises ContentError."""
    start, count = uplink.bytes_of(layer.artifact, run)
    file.seek(start)
    raw = file.read(count)
    while len(raw) < count and (chunk := file.read(count - len(raw))):
        raw += chunk
    return proved_pieces(layer, run, raw)


def proved_pieces(layer: PieceLayer, run: range, raw: bytes) -> list[tuple[int, bytes]]:
    """The pieces of `run`, one by one. Raises ContentError at the first that is not right."""
    pieces, at = [], 0
    for piece in run:
        content = raw[at : at + length_of_piece(layer.artifact, piece)]
        if not layer.matches(piece, content):
            raise ContentError(
                f"piece {piece} of the source is not the signed one: the source is damaged or was "
                "tampered with; use another one"
            )
        pieces.append((piece, content))
        at += len(content)
    return pieces


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended one of the workers."""
    found = errors.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
