"""Brings artifacts into the store: from sticks, uplinks and neighbours, all at the same time.

One transfer per artifact, however many want it. A stick or an uplink that can tell pieces puts them
into the swarm, so that neighbours have them while they still arrive; one that cannot is copied
whole first. A stick that is pulled is waited for, with the swarm tried meanwhile; one that lies is
not asked again.
"""

import asyncio
import io
import logging
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from p2pupd.engine.parts import Parts
from p2pupd.engine.reusing import OldImages, Reuser, no_images
from p2pupd.engine.supplying import Moves, NotTheSource, RemoteFile, Supplier
from p2pupd.engine.tasks import Tasks, either, unless
from p2pupd.engine.transfers import Note, Source, Transfer, TransferState, Use, finished
from p2pupd.engine.whole import copy_whole, proved
from p2pupd.errors import ContentError, FetchError, SourceGone, TrustError, UpdateError
from p2pupd.feeds.interface import Offer
from p2pupd.host.layer_files import keep_layer
from p2pupd.model.device import ByteCounts, TransferProgress
from p2pupd.model.ids import DeviceId, Sha256
from p2pupd.model.release import Artifact, Release
from p2pupd.store.interface import Store
from p2pupd.swarm.interface import Asking, Injected, Swarm

log = logging.getLogger(__name__)

REMOTE_READ: Final = 1024 * 1024
"""Bytes that are asked of an uplink at once when it is copied whole."""

SOON: Final = 10.0
"""Seconds: a stick that comes is left alone when neighbours will be done by then."""


class Content:
    """The engine's one way to payload bytes."""

    def __init__(
        self,
        store: Store,
        swarm: Swarm,
        tasks: Tasks,
        note: Note,
        *,
        own: DeviceId,
        uplinks: Callable[[], Collection[DeviceId]] = frozenset,
        moves: Moves = lambda _: True,
        asking: Asking | None = None,
        old_images: OldImages = no_images,
    ) -> None:
        """`uplinks` are the neighbours that have an uplink, like maybe `own`; `moves` tells whether
        payload of a pieces root may move now. With `asking`, pieces of packs are made of older
        packs and of `old_images`."""
        self._store = store
        self._swarm = swarm
        self._tasks = tasks
        self._note = note
        self._moves = moves
        self._supplier = Supplier(swarm, own, uplinks, moves)
        self._reuser: Reuser | None = None
        if asking is not None:
            self._reuser = Reuser(
                store, swarm, self._supplier, asking=asking, old_images=old_images, note=note
            )
        self._sources: dict[str, Source] = {}
        self._transfers: dict[Sha256, Transfer] = {}
        self._dropped: set[Sha256] = set()

    def source_came(self, offer: Offer) -> None:
        """A stick is in, or an uplink up: transfers may use it; it gets a new chance."""
        self._sources[offer.source] = Source.of(offer)
        for transfer in self._transfers.values():
            transfer.refused.pop(offer.source, None)
            transfer.forget(offer.source)

    def source_left(self, name: str) -> None:
        """The stick was pulled, the uplink is down, or whoever gave it has taken it back."""
        source = self._sources.get(name)
        if source is not None:
            for transfer in self._transfers.values():
                if transfer.source == name:
                    self._gone(transfer, source, f"{name} was removed")
                transfer.forget(name)
            self._sources.pop(name, None)

    def transfers(self) -> tuple[Transfer, ...]:
        """Every transfer since the start, running or ended, but for what was dropped."""
        return tuple(
            each
            for sha256, each in self._transfers.items()
            if sha256 not in self._dropped or each.state is not TransferState.INTERRUPTED
        )

    def drop(self, release: Release) -> None:
        """Nobody waits for it any more: an interrupted transfer of it is not told of."""
        self._dropped.add(release.artifact.sha256)

    def counts(self, artifact: Artifact) -> ByteCounts:
        """Payload bytes by source of one artifact; see Swarm.counts. What is just being copied
        whole is not proved, and counts when it is."""
        return self._swarm.counts(artifact)

    async def share_all(self) -> None:
        """Offer every verified object to the neighbours."""
        for each in await asyncio.to_thread(self._store.objects):
            if not each.verified:
                continue
            try:
                await self._swarm.share(each.artifact, each.path.parent)
            except UpdateError as error:
                self._note("share.failed", sha256=each.artifact.sha256, detail=str(error))

    async def has_room(self, release: Release) -> bool:
        """Whether the store would take it now, without moving a byte."""
        try:
            usage = await asyncio.to_thread(self._store.usage)
        except UpdateError:
            return False
        return release.artifact.length <= usage.free

    async def ensure(self, release: Release) -> None:
        """The artifact is in the store, verified and shared. Waits for a source as long as needed.

        Raises SpaceError, ContentError (the swarm's file is not what was signed), HostError.
        """
        async with Use(self.begin(release)) as transfer:
            await finished(transfer)

    async def take_from(self, source: str, release: Release) -> None:
        """The same, but gives up with the source's error when `source` cannot deliver."""
        async with Use(self.begin(release)) as transfer:
            assert transfer.task is not None
            while not transfer.task.done():
                if source in transfer.refused:
                    raise transfer.refused[source]
                if source not in self._sources:
                    raise SourceGone(f"{source} was removed before {release.label} was copied")
                await either(transfer.task, transfer.changed)
            await finished(transfer)

    def begin(self, release: Release) -> Transfer:
        """The running transfer of this artifact, started if there is none."""
        sha256 = release.artifact.sha256
        self._dropped.discard(sha256)
        transfer = self._transfers.get(sha256)
        if transfer is None or transfer.task is None or transfer.task.done():
            before, transfer = transfer, Transfer(release)
            transfer.progress = TransferProgress(0, release.artifact.length)
            if before is not None:
                transfer.refused = before.refused
                if before.state is TransferState.INTERRUPTED:
                    transfer.state, transfer.progress = before.state, before.progress
            self._transfers[sha256] = transfer
            transfer.task = self._tasks.start(f"transfer {sha256[:12]}", self._run(transfer))
        return transfer

    async def _run(self, transfer: Transfer) -> None:
        try:
            await self._bring(transfer)
            transfer.state = TransferState.COMPLETE
        except UpdateError as error:
            transfer.error = error
            transfer.state = TransferState.FAILED
            self._note("transfer.failed", reason=error.reason, detail=str(error))
        except asyncio.CancelledError:
            transfer.stopped = True
            transfer.state = TransferState.INTERRUPTED
            raise
        finally:
            transfer.changed.fire()

    async def _bring(self, transfer: Transfer) -> None:
        artifact = transfer.release.artifact
        found = await asyncio.to_thread(self._store.find, artifact.sha256)
        if found is None or not found.verified:
            while True:
                directory = await asyncio.to_thread(self._store.place, artifact)
                if await self._try_once(transfer, directory):
                    break
            await self._swarm.share(artifact, directory)
            self._account(transfer)
        else:
            await self._swarm.share(artifact, found.path.parent)
        transfer.progress = TransferProgress(
            artifact.length, artifact.length, self.counts(artifact), transfer.progress.peers
        )

    def _account(self, transfer: Transfer) -> None:
        counts = self.counts(transfer.release.artifact)
        self._note(
            "transfer.complete",
            release=transfer.release.label,
            sha256=transfer.release.artifact.sha256,
            lan=str(counts.lan),
            usb=str(counts.usb),
            uplink=str(counts.uplink),
            reuse=str(counts.reuse),
            received=str(counts.received),
            wasted=str(counts.wasted),
        )

    async def _try_once(self, transfer: Transfer, directory: Path) -> bool:
        usable = self._usable(transfer)
        source = next((each for each in usable if each.name in transfer.whole), None)
        if source is None:
            return await self._from_swarm(transfer, directory)
        return await self._blaming(transfer, source, self._copy_whole(transfer, source, directory))

    def _usable(self, transfer: Transfer) -> list[Source]:
        transfer.forgive(asyncio.get_running_loop().time())
        return [each for each in self._sources.values() if each.name not in transfer.refused]

    async def _blaming(
        self, transfer: Transfer, source: Source, work: Coroutine[Any, Any, None]
    ) -> bool:
        """True when `work` was done. What goes wrong with its source is noted, and the transfer
        goes on without it: false."""
        try:
            await work
        except SourceGone as error:
            self._gone(transfer, source, str(error))
        except (TrustError, ContentError, FetchError) as error:
            transfer.refuse(source.name, error, asyncio.get_running_loop().time())
            fields = {"source": source.name, "reason": error.reason, "detail": str(error)}
            self._note("source.refused", **fields)
        else:
            return True
        transfer.supplies.pop(source.name, None)
        return False

    def _gone(self, transfer: Transfer, source: Source, detail: str) -> None:
        if self._sources.get(source.name) is source:
            del self._sources[source.name]
        transfer.changed.fire()
        if transfer.state is not TransferState.IMPORTING or transfer.source != source.name:
            return
        transfer.state = TransferState.INTERRUPTED
        self._note(
            "source.gone",
            source=source.name,
            release=transfer.release.label,
            done=str(transfer.progress.done),
            detail=f"{detail}; goes on when it is back",
        )

    async def _copy_whole(self, transfer: Transfer, source: Source, directory: Path) -> None:
        """Copy the file of a source that knows no pieces; it is shared afterwards."""
        artifact, loop = transfer.release.artifact, asyncio.get_running_loop()
        transfer.importing(source.name)
        transfer.here = transfer.lan_rate = 0
        await self._swarm.drop(artifact)
        here = await asyncio.to_thread(proved, artifact, directory)

        def copied(done: int) -> None:
            transfer.progress = TransferProgress(done, artifact.length)
            transfer.meter.saw(done, loop.time())
            goes_on(done)

        def goes_on(done: int = 0) -> None:
            if transfer.stopped:
                raise FetchError("the transfer was stopped", reason="stopped")
            if source.name not in self._sources and done < artifact.length:
                raise SourceGone(f"{source.name} was removed")

        def moves() -> bool:
            goes_on()
            return self._moves(artifact.pieces_root)

        opener = partial(_opened, source, transfer.release, loop, moves)
        kind = Injected.USB if source.open_content else Injected.UPLINK
        copying = partial(copy_whole, self._store, artifact, directory, kind)
        await asyncio.to_thread(copying, here=here, opened=opener, progress=copied)
        self._note("source.copied", source=source.name, release=transfer.release.label)

    async def _from_swarm(self, transfer: Transfer, directory: Path) -> bool:
        """True when everything is here; False when a source turned up that is to be copied whole.

        Meanwhile sources that can tell pieces put theirs in.
        """
        if transfer.state is not TransferState.INTERRUPTED:
            transfer.fetching()

        lan = self.counts(transfer.release.artifact).lan

        def came(progress: TransferProgress) -> None:
            nonlocal lan
            more = progress.counts.lan > lan
            if more and transfer.source not in transfer.supplies:
                transfer.fetching()
            lan = progress.counts.lan
            transfer.here = progress.done
            transfer.meter.saw(progress.done, asyncio.get_running_loop().time())
            transfer.lan_rate = progress.rate
            if transfer.state is not TransferState.INTERRUPTED:
                transfer.progress = progress
            if look():
                transfer.changed.fire()

        look = partial(self._look, transfer, directory)
        artifact = transfer.release.artifact
        try:
            if self._reuser is not None:
                usable = partial(self._usable, transfer)
                await self._reuser.plan(transfer, directory, usable, self._tasks)
            look()
            fetch = self._swarm.fetch(artifact, directory, came)
            if not await unless(look, transfer.changed, fetch):
                if transfer.broken is not None:
                    raise transfer.broken
                return False
        finally:
            await self._end_supplies(transfer)
        await asyncio.to_thread(self._store.proved, artifact)
        return True

    def _look(self, transfer: Transfer, directory: Path) -> bool:
        """Let every source supply that can; whether to stop, to copy one whole or to fail."""
        usable = self._usable(transfer)
        for source in usable:
            self._begin_supply(transfer, source, directory)
        left = transfer.release.artifact.length - transfer.here
        slow = transfer.lan_rate * SOON < left
        copy = slow and any(each.name in transfer.whole for each in usable)
        return copy or transfer.broken is not None

    def _begin_supply(self, transfer: Transfer, source: Source, directory: Path) -> None:
        if source.name not in transfer.supplies and source.name not in transfer.whole:
            work = self._supplied(transfer, source, directory)
            transfer.supplies[source.name] = self._tasks.start(f"supply {source.name}", work)

    @staticmethod
    async def _end_supplies(transfer: Transfer) -> None:
        supplies = list(transfer.supplies.values())
        transfer.supplies.clear()
        for each in supplies:
            each.cancel()
        if supplies:
            await asyncio.wait(supplies)

    async def _supplied(self, transfer: Transfer, source: Source, directory: Path) -> None:
        try:
            await self._blaming(transfer, source, self._supply(transfer, source, directory))
        except NotTheSource as own:
            transfer.broken = own.error
            transfer.changed.fire()

    async def _supply(self, transfer: Transfer, source: Source, directory: Path) -> None:
        release = transfer.release
        layer = await self._supplier.layer_of(release, source.open_layer, source.remote)
        if layer is None:
            transfer.whole.add(source.name)
            transfer.changed.fire()
            return
        await asyncio.to_thread(keep_layer, layer, directory)
        await self._supplier.join(release, directory, layer)
        if source.open_content is not None:
            transfer.importing(source.name)
            await self._supplier.from_stick(release, layer, source.open_content)
            self._note("source.copied", source=source.name, release=release.label)
        elif source.remote is not None:
            transfer.fetching(source.name)
            await self._supplier.from_uplink(release, layer, source.remote)


def content_of(parts: Parts, tasks: Tasks, note: Note) -> Content:
    """The content of the device that these are the parts of."""
    return Content(
        parts.store,
        parts.swarm,
        tasks,
        note,
        own=parts.device,
        uplinks=parts.uplinks,
        moves=parts.moves,
        asking=parts.asking,
        old_images=parts.old_images,
    )


def _opened(
    source: Source,
    release: Release,
    loop: asyncio.AbstractEventLoop,
    moves: Callable[[], bool],
) -> BinaryIO:
    """The whole carried file. Blocks; raises as ContentOpener, or as RemoteContent while read."""
    if source.open_content is not None:
        return source.open_content(release)
    assert source.remote is not None
    return io.BufferedReader(RemoteFile(release, source.remote, loop, moves), REMOTE_READ)
