"""One artifact on its way into the store: where it stands, and what its sources could not do."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from p2pupd.engine.tasks import Signal
from p2pupd.errors import FetchError, UpdateError
from p2pupd.feeds.interface import ContentOpener, LayerOpener, Offer, RemoteContent
from p2pupd.model.device import Origin, TransferProgress
from p2pupd.model.release import Release

RATE_OVER: Final = 3.0
"""Seconds over which a rate is measured."""

MEASURABLE: Final = 0.5
"""Seconds that count at least."""

FORGIVEN_AFTER: Final = 60.0
"""Seconds after which a source is asked again for what could not be fetched from it."""

Note = Callable[..., None]
"""note(event, **fields): a line for the log and the device's history."""


class TransferState(StrEnum):
    IMPORTING = "importing"
    FETCHING = "fetching"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class ReuseStage(StrEnum):
    ASKING = "asking"
    """For the hashes of the pieces, and the pack's header."""
    SEARCHING = "searching"
    """What older packs and images have."""
    BUILDING = "building"
    """Pieces, of what was found."""
    OVER = "over"


def _none() -> dict[Origin, int]:
    return dict.fromkeys(Origin, 0)


@dataclass(slots=True)
class Reuse:
    """How far a device is with what it need not fetch. `done` are bytes of `length` in BUILDING,
    else of what is searched. `expected` and `real` are bytes of pieces. `planned`: it is known
    which pieces need not be asked for, or that it will not be."""

    stage: ReuseStage = ReuseStage.ASKING
    done: int = 0
    length: int = 0
    expected: dict[Origin, int] = field(default_factory=_none)
    real: dict[Origin, int] = field(default_factory=_none)
    planned: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Source:
    """A stick (`open_content`) or an uplink (`remote`) whose manifest is believed."""

    name: str
    open_content: ContentOpener | None = None
    open_layer: LayerOpener | None = None
    remote: RemoteContent | None = None

    @classmethod
    def of(cls, offer: Offer) -> "Source":
        """The source that made this offer."""
        return cls(offer.source, offer.open_content, offer.open_layer, offer.remote)


class Meter:
    """Bytes per second of something that grows, from whatever source."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def saw(self, done: int, now: float) -> None:
        """So many bytes are there at `now`, in seconds."""
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - RATE_OVER:
            self._seen.popleft()

    def rate(self, now: float) -> int:
        """Over the last seconds until `now`; 0 where nothing was seen that long."""
        if not self._seen:
            return 0
        (first, before), done = self._seen[0], self._seen[-1][1]
        return int((done - before) / max(now - first, MEASURABLE))


@dataclass(slots=True)
class Transfer:
    """`refused` holds what each source could not deliver, and why; `forgiven` when it may try
    again, where that can help. `broken`: something of this device failed, or the pack is wrong.
    `supplies` put the pieces of sources into the swarm; `whole` are sources that cannot tell
    pieces: they are copied whole. `reuse` is None where there is nothing to reuse. `here` counts
    what is proved, whatever `progress` shows; of all bytes per second that `meter` sees, neighbours
    bring `lan_rate`.
    """

    release: Release
    state: TransferState = TransferState.FETCHING
    source: str = ""
    progress: TransferProgress = field(default_factory=lambda: TransferProgress(0, 0))
    here: int = 0
    lan_rate: int = 0
    meter: Meter = field(default_factory=Meter)
    error: UpdateError | None = None
    refused: dict[str, UpdateError] = field(default_factory=dict)
    forgiven: dict[str, float] = field(default_factory=dict)
    broken: UpdateError | None = None
    supplies: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    reuse: Reuse | None = None
    users: int = 0
    task: asyncio.Task[None] | None = None
    changed: Signal = field(default_factory=Signal)
    stopped: bool = False

    def fetching(self, source: str = "lan") -> None:
        """Bytes come, from there."""
        self.state = TransferState.FETCHING
        self.source = source

    def importing(self, source: str) -> None:
        """A stick is being copied."""
        self.state = TransferState.IMPORTING
        self.source = source

    def refuse(self, source: str, error: UpdateError, now: float) -> None:
        """A source failed. What it could not fetch it may be able to later; lies are final."""
        self.refused[source] = error
        if self.state is TransferState.IMPORTING and self.source == source:
            self.fetching()
            self.progress = TransferProgress(self.here, self.release.artifact.length)
        if isinstance(error, FetchError):
            self.forgiven[source] = now + FORGIVEN_AFTER
        self.changed.fire()

    def forgive(self, now: float) -> None:
        """Let sources try again whose time has come."""
        for source in [each for each, when in self.forgiven.items() if when <= now]:
            del self.forgiven[source]
            self.refused.pop(source, None)

    def forget(self, source: str) -> None:
        """A source came or left: what was known about it counts no more."""
        self.whole.discard(source)
        self.forgiven.pop(source, None)
        supply = self.supplies.pop(source, None)
        if supply is not None:
            supply.cancel()
        self.changed.fire()


class Use:
    """Counts who wants a transfer; the last one to leave an unfinished one stops it."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer

    async def __aenter__(self) -> Transfer:
        self._transfer.users += 1
        return self._transfer

    async def __aexit__(self, *_: object) -> None:
        self._transfer.users -= 1
        task = self._transfer.task
        if self._transfer.users == 0 and task is not None and not task.done():
            self._transfer.stopped = True
            task.cancel()


async def finished(transfer: Transfer) -> None:
    """Wait for it. Raises what ended it otherwise."""
    assert transfer.task is not None
    await asyncio.wait([transfer.task])
    if transfer.error is not None:
        raise transfer.error
    if transfer.stopped:
        raise FetchError("the transfer was stopped", reason="stopped")
