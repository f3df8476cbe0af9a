"""Before a pack is fetched: which of its pieces this device can make itself, and making them.

The hashes of the pieces and the pack's header come first, from a stick, neighbours or an uplink.
What can be made is held back: nobody is asked for it. Made pieces go into the swarm like those of a
stick, so neighbours have them at once; what turns out to be other bytes is let go, and fetched.
Whatever goes wrong here only costs the download; but a header that is not in order ends it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from p2pupd.core.piece_layer import PieceLayer
from p2pupd.core.uplink import bytes_of
from p2pupd.delta.header import header_length
from p2pupd.delta.limits import PREAMBLE
from p2pupd.engine.rebuilding import Old, Rebuilding
from p2pupd.engine.supplying import Supplier, proved_pieces, read_pieces
from p2pupd.engine.tasks import Tasks, unless
from p2pupd.engine.transfers import Note, Reuse, ReuseStage, Source, Transfer
from p2pupd.errors import PackError, UpdateError
from p2pupd.host.background import Background
from p2pupd.host.layer_files import keep_layer, kept_layer
from p2pupd.install.interface import OldImage
from p2pupd.model.device import Origin
from p2pupd.model.release import Artifact, ArtifactFormat, Release
from p2pupd.store.interface import Store
from p2pupd.swarm.interface import Asking, Injected, Swarm
from p2pupd.swarm.piece_file import PieceFile

WORTH_IT: Final = 1 << 20
"""Bytes: for a smaller pack, or of a smaller image, nothing is looked for."""
MOST_PACKS: Final = 16
"""Packs and images of the store that are looked at: those used last."""
PLANNED_WITHIN: Final = 30.0
"""Seconds until a pack is fetched although it is not known yet what of it is here."""
SUPPLY: Final = "reuse"
"""Its name among a transfer's supplies."""
NEIGHBOURS_FIRST: Final = 3.0
"""Seconds in which neighbours are asked before an uplink is."""

Sources = Callable[[], Sequence[Source]]
"""Sticks and uplinks that may be read now."""
OldImages = Callable[[], Awaitable[Sequence[OldImage]]]
"""What runs, and what the configuration names. Raises UpdateError."""
Pieces = dict[int, tuple[bytes, Injected]]
T = TypeVar("T")

log = logging.getLogger(__name__)


async def no_images() -> Sequence[OldImage]:
    """Of a device that installs nothing."""
    return ()


class Reuser:
    """Of one device, for all of its transfers."""

    def __init__(
        self,
        store: Store,
        swarm: Swarm,
        supplier: Supplier,
        *,
        asking: Asking,
        old_images: OldImages,
        note: Note,
    ) -> None:
        self._store = store
        self._swarm = swarm
        self._supplier = supplier
        self._asking = asking
        self._old_images = old_images
        self._note = note

    async def olds(self, release: Release) -> list[Old]:
        """What pieces of it may be made of; empty where it is not worth looking."""
        artifact = release.artifact
        if artifact.length < WORTH_IT:
            return []
        stored = await asyncio.to_thread(self._store.objects)
        others = [each for each in stored if each.verified and each.artifact != artifact]
        newest = sorted(others, key=lambda each: -each.last_used)[:MOST_PACKS]
        found = [Old(each.path, Origin.STORE, sha256=each.artifact.sha256) for each in newest]
        try:
            images = await self._old_images()
        except UpdateError as error:
            log.info("reuse.no-images error=%s", error)
            return found
        large = [each for each in images if await asyncio.to_thread(_is_large, each)]
        return found + [Old(x.path, Origin.SLOT, x.length, x.sha256) for x in large]

    async def plan(
        self, transfer: Transfer, directory: Path, sources: Sources, tasks: Tasks
    ) -> None:
        """Begin, once, and wait until it is known which pieces are not to be asked for, but not too
        long. What was begun goes on as one of the transfer's supplies. Raises PackError.

        A stick that is in brings everything as soon: then nothing is made.
        """
        release = transfer.release
        if transfer.reuse is not None or release.format is not ArtifactFormat.PACK1:
            return
        self._swarm.hold_back(release.artifact, ())
        stick = any(each.open_content for each in sources())
        if stick or not (olds := await self.olds(release)):
            return
        told = transfer.reuse = Reuse()
        work = self._run(transfer, told, olds, directory, sources)
        transfer.supplies[SUPPLY] = tasks.start(f"reuse {release.label}", work)
        try:
            async with asyncio.timeout(PLANNED_WITHIN):
                await told.planned.wait()
        except TimeoutError:
            log.info("reuse.late release=%s", release.label)
        except asyncio.CancelledError:
            await self._swarm.drop(release.artifact)
            raise
        if transfer.broken is not None:
            raise transfer.broken

    async def _run(
        self,
        transfer: Transfer,
        told: Reuse,
        olds: Sequence[Old],
        directory: Path,
        sources: Sources,
    ) -> None:
        """Plan, then make and inject. A pack that is wrong ends the transfer; what else goes wrong
        is only noted."""
        release = transfer.release
        job = _Job(self, transfer, directory, sources)
        try:
            layer = await job.layer()
            await self._rebuild(job, layer, told, olds)
        except PackError as error:
            transfer.broken = error
            transfer.changed.fire()
        except UpdateError as error:
            self._note("reuse.ended", release=release.label, reason=error.reason, detail=str(error))
        finally:
            self._await(release.artifact, frozenset())
            told.stage = ReuseStage.OVER
            told.planned.set()

    async def _rebuild(
        self, job: "_Job", layer: PieceLayer, told: Reuse, olds: Sequence[Old]
    ) -> None:
        release, artifact = job.release, job.release.artifact
        background = Background(f"reuse {artifact.sha256[:12]}")
        work = Rebuilding(layer, release.image, told)
        try:
            file = PieceFile(artifact, job.directory)
            here = await background.run(partial(file.search, layer))
            await asyncio.to_thread(keep_layer, layer, job.directory)
            header = await job.header(layer, here)
            beginning = b"".join(header[piece][0] for piece in range(len(header)))
            expected = await background.run(partial(work.plan, beginning, olds, here))
            self._await(artifact, expected)
            await self._swarm.supply(artifact, job.directory, layer)
            for piece, (content, source) in header.items():
                if here[piece]:
                    continue
                await self._swarm.inject(artifact, piece, content, source)
            told.planned.set()
            await self._make(artifact, told, work, background, expected)
        finally:
            work.stop()
            background.end(work.close)

    async def _make(
        self,
        artifact: Artifact,
        told: Reuse,
        work: Rebuilding,
        background: Background,
        expected: frozenset[int],
    ) -> None:
        while True:
            batch = await background.run(work.next)
            for piece, content, origin in batch.made:
                await self._swarm.inject(artifact, piece, content, Injected.REUSE)
                told.real[origin] += len(content)
            if batch.given_up:
                expected -= batch.given_up
                self._await(artifact, expected)
            if batch.last:
                return

    def _await(self, artifact: Artifact, pieces: frozenset[int]) -> None:
        """These need not be brought by anybody."""
        self._supplier.awaited[artifact.pieces_root] = pieces
        self._swarm.hold_back(artifact, pieces)

    async def layer_from(self, release: Release, source: Source) -> PieceLayer | None:
        """As that source has it."""
        return await self._supplier.layer_of(release, source.open_layer, source.remote)

    async def layer_of_neighbours(self, artifact: Artifact) -> PieceLayer:
        """As the first of them has it."""
        return await self._asking.layer(artifact)

    async def pieces_of_neighbours(self, layer: PieceLayer, run: range) -> Pieces:
        """As those have them that have them."""
        found = await self._asking.some(layer.artifact, layer, run)
        return {piece: (content, Injected.LAN) for piece, content in found.items()}


class _Job:
    """What has to be asked for, of one transfer, with whoever may have it."""

    def __init__(
        self, reuser: Reuser, transfer: Transfer, directory: Path, sources: Sources
    ) -> None:
        self._reuser = reuser
        self._transfer = transfer
        self._sources = sources
        self.release = transfer.release
        self.directory = directory

    async def layer(self) -> PieceLayer:
        """The hashes of all pieces, proved."""
        release = self.release
        kept = await asyncio.to_thread(kept_layer, release.artifact, self.directory)
        if kept is not None:
            return kept
        return await self._asked(
            partial(self._reuser.layer_from, release),
            partial(self._reuser.layer_of_neighbours, release.artifact),
        )

    async def header(self, layer: PieceLayer, here: Sequence[bool]) -> Pieces:
        """The pieces that hold the pack's header, and where each came from. Raises PackError."""
        size = layer.artifact.piece_length
        found = await self._pieces(layer, here, range(1))
        length = header_length(found[0][0][:PREAMBLE])
        rest = range(1, min(layer.artifact.pieces, -(-length // size)))
        return found | await self._pieces(layer, here, rest)

    async def _pieces(self, layer: PieceLayer, here: Sequence[bool], run: range) -> Pieces:
        if not run:
            return {}
        if all(here[piece] for piece in run):
            path = self.directory / layer.artifact.pieces_root
            read = partial(_read_file, path, layer, run)
            return _from(await asyncio.to_thread(read), Injected.LAN)
        return await self._asked(
            partial(self._read, layer, run),
            partial(self._reuser.pieces_of_neighbours, layer, run),
        )

    async def _read(self, layer: PieceLayer, run: range, source: Source) -> Pieces | None:
        """From a stick or an uplink."""
        if source.open_content is not None:
            read = partial(_read_stick, source, self.release, layer, run)
            return _from(await asyncio.to_thread(read), Injected.USB)
        if source.remote is None:
            return None
        raw = await source.remote.read(self.release, *bytes_of(layer.artifact, run))
        proved = await asyncio.to_thread(proved_pieces, layer, run, raw)
        return _from(proved, Injected.UPLINK)

    async def _asked(
        self,
        read: Callable[[Source], Awaitable[T | None]],
        ask: Callable[[], Coroutine[Any, Any, T]],
    ) -> T:
        """From a stick; else from neighbours; from an uplink where those do not have it soon."""
        while True:
            known = list(self._sources())
            if (found := await _first(read, (x for x in known if x.remote is None))) is not None:
                return found
            remote = [each for each in known if each.remote is not None]
            answers: list[T] = []

            async def asking(answers: list[T] = answers) -> None:
                answers.append(await ask())

            def news(known: list[Source] = known) -> bool:
                return list(self._sources()) != known

            try:
                async with asyncio.timeout(NEIGHBOURS_FIRST if remote else None):
                    await unless(news, self._transfer.changed, asking())
            except TimeoutError:
                if (found := await _first(read, remote)) is not None:
                    return found
            if answers:
                return answers[0]


async def _first(read: Callable[[Source], Awaitable[T | None]], of: Iterable[Source]) -> T | None:
    """What the first of them has. Whatever is wrong with one is found out by who takes it all."""
    for source in of:
        try:
            if (found := await read(source)) is not None:
                return found
        except UpdateError as error:
            log.info("reuse.source-failed source=%s error=%s", source.name, error)
    return None


def _from(pieces: Iterable[tuple[int, bytes]], source: Injected) -> Pieces:
    return {piece: (content, source) for piece, content in pieces}


def _read_file(path: Path, layer: PieceLayer, run: range) -> list[tuple[int, bytes]]:
    with open(path, "rb", buffering=0) as file:
        return read_pieces(file, layer, run)


def _read_stick(
    source: Source, release: Release, layer: PieceLayer, run: range
) -> list[tuple[int, bytes]]:
    assert source.open_content is not None
    with source.open_content(release) as file:
        return read_pieces(file, layer, run)


def _is_large(image: OldImage) -> bool:
    """Whether it may be an image at all. Blocks."""
    try:
        with open(image.path, "rb", buffering=0) as file:
            return file.seek(0, 2) >= WORTH_IT
    except OSError as error:
        log.info("reuse.unreadable path=%s error=%s", image.path, error)
        return False
