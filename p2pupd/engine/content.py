"""Brings artifacts into the store: from a stick where one is in, from the swarm otherwise.

One transfer per artifact, however many want it. A stick that is pulled is waited for, with the
swarm tried meanwhile; a stick that lies is not asked again.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from p2pupd.engine.tasks import Signal, Tasks, either, unless
from p2pupd.errors import ContentError, FetchError, SourceGone, TrustError, UpdateError
from p2pupd.feeds.interface import ContentOpener
from p2pupd.model.device import ByteCounts, TransferProgress
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact, Release
from p2pupd.store.interface import Store
from p2pupd.swarm.interface import Swarm

log = logging.getLogger(__name__)

SOON: Final = 10.0
"""Seconds: a stick that comes is left alone when neighbours will be done by then."""


class TransferState(StrEnum):
    IMPORTING = "importing"
    FETCHING = "fetching"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(slots=True)
class Transfer:
    """Where one artifact stands. `refused` holds what each source could not deliver, and why."""

    release: Release
    state: TransferState = TransferState.FETCHING
    source: str = ""
    progress: TransferProgress = field(default_factory=lambda: TransferProgress(0, 0))
    error: UpdateError | None = None
    refused: dict[str, UpdateError] = field(default_factory=dict)
    users: int = 0
    task: asyncio.Task[None] | None = None
    changed: Signal = field(default_factory=Signal)
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    open_content: ContentOpener


Note = Callable[..., None]
"""note(event, **fields): a line for the log and the device's history."""


class Content:
    """The engine's one way to payload bytes."""

    def __init__(self, store: Store, swarm: Swarm, tasks: Tasks, note: Note) -> None:
        self._store = store
        self._swarm = swarm
        self._tasks = tasks
        self._note = note
        self._sources: dict[str, Source] = {}
        self._transfers: dict[Sha256, Transfer] = {}
        self._usb: Counter[Sha256] = Counter()

    def source_came(self, name: str, open_content: ContentOpener) -> None:
        """A stick is in: transfers that wait may use it; it gets a new chance."""
        self._sources[name] = Source(name, open_content)
        for transfer in self._transfers.values():
            transfer.refused.pop(name, None)
            transfer.changed.fire()

    def source_left(self, name: str) -> None:
        """The stick was pulled, or whoever gave it has taken it back."""
        source = self._sources.get(name)
        if source is not None:
            for transfer in self._transfers.values():
                if transfer.source == name:
                    self._gone(transfer, source, f"{name} was removed")
                transfer.changed.fire()
            self._sources.pop(name, None)

    def transfers(self) -> tuple[Transfer, ...]:
        """Every transfer since the start, running or ended."""
        return tuple(self._transfers.values())

    def counts(self, artifact: Artifact) -> ByteCounts:
        """Payload bytes by source of one artifact since the start."""
        swarm = self._swarm.counts(artifact)
        usb = self._usb[artifact.sha256]
        return ByteCounts(
            lan=swarm.lan, usb=usb, sent=swarm.sent, wasted=swarm.wasted, uplink=swarm.uplink
        )

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
        async with _Use(self, release) as transfer:
            await _finished(transfer)

    async def take_from(self, source: str, release: Release) -> None:
        """The same, but gives up with the source's error when `source` cannot deliver."""
        async with _Use(self, release) as transfer:
            assert transfer.task is not None
            while not transfer.task.done():
                if source in transfer.refused:
                    raise transfer.refused[source]
                if source not in self._sources:
                    raise SourceGone(f"{source} was removed before {release.label} was copied")
                await either(transfer.task, transfer.changed)
            await _finished(transfer)

    def begin(self, release: Release) -> Transfer:
        """The running transfer of this artifact, started if there is none."""
        sha256 = release.artifact.sha256
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
            self._account(transfer)
        else:
            directory = found.path.parent
        await self._swarm.share(artifact, directory)
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
            wasted=str(counts.wasted),
        )

    async def _try_once(self, transfer: Transfer, directory: Path) -> bool:
        source = self._source_for(transfer)
        if source is None:
            return await self._from_swarm(transfer, directory)
        try:
            await self._from_source(transfer, source)
        except SourceGone as error:
            self._gone(transfer, source, str(error))
            return False
        except (TrustError, ContentError, FetchError) as error:
            transfer.refused[source.name] = error
            transfer.changed.fire()
            self._note("source.refused", source=source.name, reason=error.reason, detail=str(error))
            return False
        return True

    def _source_for(self, transfer: Transfer) -> Source | None:
        usable = (each for each in self._sources.values() if each.name not in transfer.refused)
        return next(usable, None)

    def _gone(self, transfer: Transfer, source: Source, detail: str) -> None:
        if self._sources.get(source.name) is source:
            del self._sources[source.name]
        transfer.changed.fire()
        if transfer.state is not TransferState.IMPORTING:
            return
        transfer.state = TransferState.INTERRUPTED
        self._note(
            "source.gone",
            source=source.name,
            release=transfer.release.label,
            done=str(transfer.progress.done),
            detail=f"{detail}; goes on when it is back",
        )

    async def _from_source(self, transfer: Transfer, source: Source) -> None:
        artifact = transfer.release.artifact
        transfer.state = TransferState.IMPORTING
        transfer.source = source.name
        await self._swarm.drop(artifact)
        kept: int | None = None

        def copied(done: int) -> None:
            nonlocal kept
            self._usb[artifact.sha256] += max(0, done - (done if kept is None else kept))
            transfer.progress = TransferProgress(done, artifact.length)
            kept = done
            if transfer.stopped:
                raise FetchError("the transfer was stopped")
            if source.name not in self._sources and done < artifact.length:
                raise SourceGone(f"{source.name} was removed")

        await asyncio.to_thread(
            self._store.import_from,
            artifact,
            lambda: source.open_content(transfer.release),
            copied,
        )
        self._note("source.copied", source=source.name, release=transfer.release.label)

    async def _from_swarm(self, transfer: Transfer, directory: Path) -> bool:
        """True when the swarm brought it; False when a source turned up that is better."""
        if transfer.state is not TransferState.INTERRUPTED:
            self._fetching(transfer)

        def came(progress: TransferProgress) -> None:
            if progress.peers or progress.done > transfer.progress.done:
                self._fetching(transfer)
            if transfer.state is TransferState.FETCHING:
                transfer.progress = progress
            if better():
                transfer.changed.fire()

        artifact = transfer.release.artifact

        def better() -> bool:
            left = artifact.length - transfer.progress.done
            slow = transfer.progress.rate * SOON < left
            return slow and self._source_for(transfer) is not None

        fetch = self._swarm.fetch(artifact, directory, came)
        if not await unless(better, transfer.changed, fetch):
            return False
        await asyncio.to_thread(self._store.verify, artifact)
        return True

    @staticmethod
    def _fetching(transfer: Transfer) -> None:
        transfer.state = TransferState.FETCHING
        transfer.source = "lan"


class _Use:
    """Counts who wants a transfer; the last one to leave an unfinished one stops it."""

    def __init__(self, content: Content, release: Release) -> None:
        self._transfer = content.begin(release)

    async def __aenter__(self) -> Transfer:
        self._transfer.users += 1
        return self._transfer

    async def __aexit__(self, *_: object) -> None:
        self._transfer.users -= 1
        task = self._transfer.task
        if self._transfer.users == 0 and task is not None and not task.done():
            self._transfer.stopped = True
            task.cancel()


async def _finished(transfer: Transfer) -> None:
    assert transfer.task is not None
    await asyncio.wait([transfer.task])
    if transfer.error is not None:
        raise transfer.error
    if transfer.stopped:
        raise FetchError("the transfer was stopped", reason="stopped")
