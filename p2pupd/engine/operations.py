"""What operators ask of the daemon, in terms of the engine: the other side of the control API."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from p2pupd.engine.accounting import Accounts
from p2pupd.engine.board import Board
from p2pupd.engine.fleet import Fleet, site_picture
from p2pupd.engine.line import LineCare
from p2pupd.engine.loop import Engine
from p2pupd.engine.messages import OfferOutcome
from p2pupd.engine.meters import reading
from p2pupd.engine.orders import OrderShelf
from p2pupd.engine.parts import Parts
from p2pupd.engine.report import report
from p2pupd.engine.settings import DeviceSettings
from p2pupd.engine.why import explain
from p2pupd.errors import NothingToDo, SpaceError, UpdateError
from p2pupd.feeds.interface import Offer
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.metrics import Reading
from p2pupd.model.release import Release

log = logging.getLogger(__name__)

Json = dict[str, Any]
ReadPath = Callable[[Path], Offer]
"""Reads the repository at a path into an offer; blocks. Raises NotARepository, UnsafeMedia, ..."""

WriteStick = Callable[
    [Path, bytes, Sequence[tuple[Release, Path]], Callable[[Release, int], None]], object
]
"""Writes a stick: path, bundle, (release, file) pairs, progress in bytes; blocks."""

PROGRESS_SECONDS: Final = 0.2
ALIVE: Final[Json] = {}
"""A line that says only that the work goes on: whoever follows it gives up when none comes."""
CARRIES_ONLY: Final = frozenset({"no-component", "no-release"})


class Operations:
    """Implements `api.control.Controls`."""

    def __init__(
        self,
        engine: Engine,
        parts: Parts,
        settings: DeviceSettings,
        *,
        read_path: ReadPath,
        write_stick: WriteStick,
        neighbours: Callable[[], Iterable[Neighbour]],
        ask_neighbours: Callable[[], None],
        uplink: Callable[[], Json | None],
        line: LineCare,
        reload: Callable[[], Awaitable[str]],
        accounts: Accounts,
        fleet: Fleet,
        orders: OrderShelf,
        board: Board,
    ) -> None:
        """`uplink` tells the state of the uplink, None where the device has none."""
        self._engine = engine
        self._parts = parts
        self._settings = settings
        self._read_path = read_path
        self._write_stick = write_stick
        self._neighbours = neighbours
        self._ask_neighbours = ask_neighbours
        self._uplink = uplink
        self._line = line
        self._reload = reload
        self._accounts = accounts
        self._fleet = fleet
        self._orders = orders
        self._board = board

    async def status(self) -> Json:
        """The picture that `p2pupd status` prints."""
        await self._engine.ready.wait()
        engine = self._engine
        picture = await report(
            self._parts,
            self._settings,
            engine.handlers,
            engine.manifest,
            engine.records,
            accounts=self._accounts,
        )
        return picture | {
            "neighbours": len(list(self._neighbours())),
            "sources": engine.sources.listing(),
            "uplink": self._uplink(),
            "limits": self._line.picture(),
            "site": site_picture(self._fleet, engine.manifest, self._orders.orders)
            | {"orders": self._orders.listing()},
        }

    async def metrics(self) -> Reading:
        """The figures of now."""
        await self._engine.ready.wait()
        return await reading(
            self._parts,
            self._engine.handlers,
            self._accounts,
            peers=len(list(self._neighbours())),
            moving=self._line.allowance.moving,
            uplink=self._uplink(),
            fleet=self._fleet,
        )

    async def fleet(self) -> list[Json]:
        """Every device that this one has heard of."""
        return self._fleet.picture()

    async def floor(self) -> Json:
        """The floor as a screen shows it: every device, every release on its way."""
        await self._engine.ready.wait()
        return self._board.picture()

    async def news(self) -> None:
        """Return at the next change of what `floor` tells."""
        await self._fleet.changes.next()

    async def peers(self) -> list[Json]:
        """The neighbours of now."""
        return [
            {
                "id": each.id,
                "host": each.host,
                "port": each.port,
                "bt_port": each.bt_port,
                "role": str(each.role),
                "manifest": each.manifest,
                "source": each.source,
                "uplink": each.uplink,
                "last_seen": each.last_seen,
            }
            for each in self._neighbours()
        ]

    async def history(self, limit: int) -> list[Json]:
        """The newest lines of the device's history, oldest first."""
        lines = await asyncio.to_thread(self._parts.journal.history, limit)
        return [{"at": each.at, "event": each.event, **each.fields} for each in lines]

    async def check(self) -> str:
        """Ask every source again."""
        self._ask_neighbours()
        self._engine.reconsider()
        return "asked every neighbour, and the uplink if there is one; see `p2pupd status`"

    async def why(self, device: str | None) -> Json:
        """Every gate that is closed for this device, or the one whose id begins so."""
        await self._engine.ready.wait()
        return await explain(self._engine, self._parts, device)

    async def approve(self, release: int | None, *, again: bool, ahead: bool) -> str:
        """Consent to an installation."""
        return await self._engine.approve(release, again=again, ahead=ahead)

    async def defer(self, seconds: float | None) -> str:
        """Put off what waits or is on its way here."""
        await self._engine.ready.wait()
        release = next((each.release for each in self._engine.records.open() if each.release), None)
        if release is None:
            raise NothingToDo("no release is on its way into this device")
        until = await self._engine.handlers.turns.defer(release, seconds)
        when = time.strftime("%a %d %b %H:%M:%S", time.localtime(until))
        self._engine.note("operator.deferred", release=release.label, until=when)
        self._engine.reconsider()
        return f"{release.label} is deferred until {when}"

    async def order(self, raw: bytes) -> str:
        """Take a signed order, obey it and pass it on."""
        await self._engine.ready.wait()
        return self._orders.hand_over(raw, self._fleet.now(), self._fleet.sync.changed)

    async def rollback(self) -> str:
        """Go back to the previous slot."""
        return await self._engine.roll_back()

    async def pause(self, seconds: float | None) -> str:
        """Stop payload for so long, or until `resume`."""
        until = await self._line.pause(seconds)
        self._engine.note("operator.paused", seconds="" if seconds is None else f"{seconds:g}")
        if until is None:
            return "payload is paused; `p2pupd resume` ends it"
        when = time.strftime("%a %d %b %H:%M:%S", time.localtime(until))
        return f"payload is paused until {when}; `p2pupd resume` ends it before"

    async def resume(self) -> str:
        """End the operator's pause."""
        await self._line.resume()
        self._engine.note("operator.resumed")
        waits = self._line.allowance.reason
        return f"the pause is over, but payload waits: {waits}" if waits else "payload moves again"

    async def reload(self) -> str:
        """Read the configuration again."""
        return await self._reload()

    async def import_from(self, path: Path) -> AsyncGenerator[Json, None]:
        """Yield the progress of copying, then what became of it. Raises what reading raises."""
        await self._engine.ready.wait()
        try:
            offer = await asyncio.to_thread(self._read_path, path)
        except UpdateError as error:
            fields = {"reason": error.reason, "detail": str(error)}
            self._engine.note("source.refused", source=f"import:{path}", **fields)
            raise
        ticket = self._engine.offer(offer)
        try:
            while not ticket.done.done():
                await asyncio.wait([ticket.done], timeout=PROGRESS_SECONDS)
                yield ALIVE
                for each in self._engine.content.transfers():
                    if each.source == offer.source:
                        yield _progress(each.release, each.progress.done)
        finally:
            self._engine.source_gone(offer.source)
        yield {"result": self._verdict(ticket.done.result())}

    def _verdict(self, outcome: OfferOutcome) -> Json:
        said = [f"carries {release.label}" for release in outcome.carried]
        lost = dict(outcome.lost)
        said += [f"not taken: {each.label}: {lost[each].reason}: {lost[each]}" for each in lost]
        if outcome.chosen is not None and outcome.chosen not in lost:
            said.append(f"goes for {outcome.chosen.label}")
        elif outcome.chosen is not None and not isinstance(lost[outcome.chosen], SpaceError):
            said.append(f"waits for {outcome.chosen.label} from elsewhere")
        code, reason = 0, ""
        if outcome.refusal is not None:
            said.append(f"this device: {outcome.refusal.reason}: {outcome.refusal.detail}")
            code, reason = outcome.refusal.code, outcome.refusal.reason
        carries = bool(outcome.carried) and not outcome.lost
        seeds = self._settings.role is Role.SEED and reason == "wrong-hardware"
        if carries and (reason in CARRIES_ONLY or seeds):
            code = 0
        if outcome.lost:
            error: UpdateError = outcome.lost[0][1]
            code, reason = error.code, error.reason
        return {"code": code, "reason": reason, "said": said}

    async def export_to(self, path: Path) -> AsyncGenerator[Json, None]:
        """Write the accepted manifest and every release in the store to `path`."""
        await self._engine.ready.wait()
        manifest = self._engine.manifest
        bundle = await asyncio.to_thread(self._parts.verifier.current_bundle)
        if manifest is None or bundle is None:
            raise NothingToDo("this device has not accepted any release yet")
        stored = {
            each.artifact.sha256: each.path
            for each in await asyncio.to_thread(self._parts.store.objects)
            if each.verified
        }
        files = [
            (each, stored[each.artifact.sha256])
            for each in manifest.releases
            if each.artifact.sha256 in stored
        ]
        if not files:
            raise NothingToDo("no artifact of the accepted manifest is in the store")
        done: dict[str, tuple[Release, int]] = {}

        def progress(release: Release, count: int) -> None:
            done[release.artifact.sha256] = (release, count)

        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(None, self._write_stick, path, bundle, files, progress)
        writing.add_done_callback(_noticed)
        while not writing.done():
            await asyncio.wait([writing], timeout=PROGRESS_SECONDS)
            for release, count in list(done.values()):
                yield _progress(release, count)
        writing.result()
        said = [f"wrote {release.label}" for release, _ in files]
        yield {"result": {"code": 0, "reason": "", "said": said}}


def _noticed(writing: asyncio.Future[object]) -> None:
    """A stick is finished although its caller has left; then nobody else looks at the error."""
    if not writing.cancelled() and writing.exception() is not None:
        log.info("export.failed error=%s", writing.exception())


def _progress(release: Release, done: int) -> Json:
    return {"progress": {"release": release.label, "done": done, "length": release.artifact.length}}
