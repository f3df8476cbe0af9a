"""One artifact in the session: its torrent, what was heard of it, and who waits for what."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import libtorrent as lt

from p2pupd.core.parting import Parting
from p2pupd.core.piece_layer import PieceLayer
from p2pupd.errors import FetchError, SpaceError, UpdateError
from p2pupd.host.files import NO_SPACE_ERRNOS
from p2pupd.model.device import ByteCounts, TransferProgress
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact
from p2pupd.swarm import mesh
from p2pupd.swarm.alerts import (
    Checked,
    DiskFailed,
    Finished,
    PeerBanned,
    PieceRefused,
    ResumeData,
    ResumeRefused,
    TorrentAlert,
    TorrentState,
)
from p2pupd.swarm.hostility import StallWatch
from p2pupd.swarm.interface import ProgressListener
from p2pupd.swarm.ledger import Ledger
from p2pupd.swarm.mesh import Met

FIRST_SAVE: Final = 0.25
ANSWER_WITHIN: Final = 10.0
NOT_WANTED: Final = 0
"""libtorrent's priority of a piece that is asked of nobody."""

log = logging.getLogger(__name__)
A = TypeVar("A", bound=TorrentAlert)


class Transfer:
    """Used only on the event loop. `before` counts what earlier torrents of it moved, and this one
    before it was paused: then its own counters begin anew.

    `finished`: all pieces are verified, or `failure` says why that will not be. `durable`: the
    file and its resume data are on disk. `leaving`: it is on its way out of the session, and
    `gone` tells when it is. `saving` is held while resume data is asked for and written.
    `layer` is known to the session too; `ledger` notes what was injected, `pipelined` counts bytes
    that are on their way into the session. If `tracked`, all else that is there came from
    neighbours, because nobody but the swarm wrote it. `rescued` counts what came
    from them by HTTP because BitTorrent stood still, `handed` what seeds handed out.

    `called` are the hosts of neighbours that were called, `met` who of all was connected at the
    last look, the next of which is due at `look_at`; `settled`: there was one since it was added.
    `home` are the devices among which the pieces are shared out; `parting` tells whether the seeds
    are left to the others. `held_back` are pieces that nobody is asked for; `partial`: there were
    some, so that all that was asked for being here does not mean that all is.
    """

    def __init__(
        self, artifact: Artifact, directory: Path, before: ByteCounts, watch: StallWatch
    ) -> None:
        self.artifact = artifact
        self.directory = directory
        self.watch = watch
        self.handle: lt.torrent_handle | None = None
        self.state = TorrentState(artifact.pieces_root)
        self.finished = asyncio.Event()
        self.checked = asyncio.Event()
        self.gone = asyncio.Event()
        self.saving = asyncio.Lock()
        self.failure: UpdateError | None = None
        self.durable = False
        self.leaving = False
        self.blind = False
        self.save_at = 0.0
        self.write_at = 0.0
        self.written = 0
        self.save_pause = FIRST_SAVE
        self.saved_pieces = 0
        self.layer: PieceLayer | None = None
        self.ledger = Ledger(artifact)
        self.tracked = False
        self.pipelined = 0
        self.rescued = 0
        self.handed = 0
        self.called: set[str] = set()
        self.met: Mapping[str, Met] = {}
        self.look_at = 0.0
        self.settled = False
        self.home: frozenset[DeviceId] = frozenset()
        self.parting = Parting()
        self.held_back: frozenset[int] = frozenset()
        self.partial = False
        self._before = before
        self._listeners: list[ProgressListener] = []
        self._waiting: list[tuple[type[TorrentAlert], asyncio.Future[TorrentAlert]]] = []

    def hold_back(self, pieces: frozenset[int]) -> None:
        """Ask nobody for these from now on."""
        self.held_back = pieces
        self.partial = self.partial or bool(pieces)

    def priorities(self, own: DeviceId) -> list[int]:
        """One a piece, where `own` is this device."""
        pieces = self.artifact.pieces
        apart = self.parting.apart
        priorities = (
            [mesh.OTHERS_SHARE] * pieces if apart else mesh.home_pieces(pieces, own, self.home)
        )
        for piece in self.held_back:
            priorities[piece] = NOT_WANTED
        return priorities

    def prioritize(self, own: DeviceId) -> None:
        """Tell the session the priorities of now."""
        if self.handle and self.unfinished:
            self.handle.prioritize_pieces(self.priorities(own))

    @property
    def unfinished(self) -> bool:
        return not self.finished.is_set() and not self.leaving

    @property
    def wanted(self) -> bool:
        """Somebody in this process waits for it."""
        return bool(self._listeners)

    @property
    def counts(self) -> ByteCounts:
        """By source what is there, once that is known, and what was sent and received in vain."""
        state, before = self.state, self._before
        received = self._received + self.rescued + self.handed
        return replace(
            self.ledger.account(state.done, received, tracked=self.tracked),
            sent=before.sent + state.sent,
            wasted=before.wasted + state.redundant + state.failed,
        )

    @property
    def _received(self) -> int:
        """Bytes that came by BitTorrent and were kept."""
        state = self.state
        return self._before.received + max(0, state.received - state.redundant - state.failed)

    @contextmanager
    def reporting(self, progress: ProgressListener) -> Iterator[None]:
        """Tell `progress` of every change for as long as the context lasts."""
        self._listeners.append(progress)
        try:
            yield
        finally:
            self._listeners.remove(progress)

    async def next(self, kind: type[A]) -> A:
        """The next alert of that kind. Raises FetchError when it does not come in time."""
        future: asyncio.Future[TorrentAlert] = asyncio.get_running_loop().create_future()
        entry = (kind, future)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                answer = await future
        except TimeoutError as error:
            raise FetchError(
                f"the swarm did not answer about {self.artifact.pieces_root[:16]}"
                f" within {ANSWER_WITHIN:g} s"
            ) from error
        finally:
            self._waiting.remove(entry)
        if isinstance(answer, kind):
            return answer
        raise FetchError(f"cannot save resume data: {answer}")

    def stalled(self, now: float, neighbours: int) -> bool:
        """True when it is time to start over: BitTorrent has brought nothing for too long."""
        return self.watch.stalled(self.state.done - self.rescued, now, neighbours)

    def receive(self, alert: TorrentAlert) -> None:
        """Take note of what happened, and wake who waits for it."""
        match alert:
            case Finished() if not self.partial:
                self.finished.set()
            case Checked():
                self.checked.set()
            case TorrentState():
                self._take(alert)
            case DiskFailed():
                self.fail(alert)
            case PieceRefused() | PeerBanned():
                self.watch.evidence += 1
            case _:
                pass
        for kind, future in self._waiting:
            refused = kind is ResumeData and isinstance(alert, ResumeRefused)
            if (refused or isinstance(alert, kind)) and not future.done():
                future.set_result(alert)

    def fail(self, alert: DiskFailed) -> None:
        """Reading or writing does not work any more: who waits gets the first reason."""
        if self.failure is None:
            kind = SpaceError if alert.errno in NO_SPACE_ERRNOS else FetchError
            path = self.directory / self.artifact.pieces_root
            log.warning("swarm.failed path=%s error=%s", path, alert.message)
            self.end(kind(f"cannot read or write {path}: {alert.message}"))

    def end(self, failure: UpdateError) -> None:
        """It will not be complete: everybody who waits for it gets the first reason."""
        self.failure = self.failure or failure
        self.finished.set()
        self.checked.set()

    def start_over(self) -> None:
        """Its torrent was removed and another one is added for the same file."""
        self._count_anew()
        self.state = TorrentState(self.artifact.pieces_root, done=self.state.done)

    @property
    def report(self) -> TransferProgress:
        """Where it stands."""
        state = self.state
        return TransferProgress(
            state.done, self.artifact.length, self.counts, state.peers, state.rate
        )

    def _count_anew(self) -> None:
        """The session's counters begin at 0 again."""
        self._before = replace(self.counts, received=self._received)

    def _take(self, state: TorrentState) -> None:
        if state.received < self.state.received or state.sent < self.state.sent:
            self._count_anew()
        self.state = state
        if state.complete:
            if not self.ledger.confirmed:
                self.ledger.confirm((True,) * self.artifact.pieces)
            self.finished.set()
        for listener in self._listeners:
            listener(self.report)
