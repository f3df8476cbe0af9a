"""Care for the line: decides anew whenever something changes, and tells who moves payload."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from p2pupd.core.allowance import Allowance, Pause, allow, urgent
from p2pupd.core.pace import Pace
from p2pupd.core.windows import LocalTime
from p2pupd.engine.limit_settings import LimitSettings
from p2pupd.engine.pausing import PauseFile
from p2pupd.errors import NothingToDo, UsageError
from p2pupd.host.clock import local_time
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.release import Release

LOOK_AGAIN: Final = 30.0
"""Seconds after which a time of the clock is compared again: the clock may have been set."""
LONGEST_RETRY: Final = 3600
LONGEST_PAUSE: Final = 10 * 365 * 86400.0

log = logging.getLogger(__name__)
Json = dict[str, Any]


class Line(Protocol):
    """Who moves payload between devices."""

    def limit(self, allowance: Allowance) -> None:
        """Keep to `allowance` from now on."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decision is made from. `now` is Unix seconds; `local` is what clocks show then.

    `releases` are those of the accepted manifest; `seed_cap` is what an operator ordered for all
    seeds together, None for nothing: then the setting holds.
    """

    role: Role
    now: Callable[[], float]
    neighbours: Callable[[], Iterable[Neighbour]]
    releases: Callable[[], Iterable[Release]]
    local: Callable[[float], LocalTime] = local_time
    seed_cap: Callable[[], int | None] = lambda: None


class LineCare:
    """The one place that knows what may move. Also paces what the peer API sends.

    While that sends an artifact, it and the swarm have half of the upload limit each.
    """

    def __init__(
        self, settings: LimitSettings, facts: Facts, pauses: PauseFile, line: Line
    ) -> None:
        self._limits = settings.limits()
        self._facts = facts
        self._pauses = pauses
        self._line = line
        self._pause: Pause | None = None
        self._sending = 0
        self._pace = Pace()
        self._poked = asyncio.Event()
        self._told: Allowance | None = None
        self.allowance = Allowance()

    async def start(self) -> None:
        """Read the operator's pause and apply everything, before any payload moves."""
        self._pause = await asyncio.to_thread(self._pauses.load)
        self.decide()

    async def run(self) -> None:
        """Decide anew when poked, and when the time has come, until cancelled."""
        while True:
            self.decide()
            try:
                async with asyncio.timeout(self._patience()):
                    await self._poked.wait()
            except TimeoutError:
                pass
            self._poked.clear()

    def poke(self) -> None:
        """Neighbours or the manifest changed."""
        self._poked.set()

    def configure(self, settings: LimitSettings) -> None:
        """New settings, from now on."""
        self._limits = settings.limits()
        self.decide()

    def moves(self, root: str) -> bool:
        """Whether the payload with this root may move now."""
        return self.allowance.moves(root)

    async def pause(self, duration: float | None) -> float | None:
        """Stop payload for so many seconds, or until `resume`; durable on return. When it ends.

        Raises UsageError, HostError or SpaceError.
        """
        if duration is not None and not 0 < duration <= LONGEST_PAUSE:
            raise UsageError("a pause lasts longer than nothing, and ten years at most")
        until = None if duration is None else self._facts.now() + duration
        await self._set(Pause(until))
        return until

    async def resume(self) -> None:
        """End the operator's pause. Raises NothingToDo, HostError or SpaceError."""
        if self._pause is None or not self._pause.holds(self._facts.now()):
            raise NothingToDo("nothing is paused by the operator")
        await self._set(None)

    async def _set(self, pause: Pause | None) -> None:
        await asyncio.to_thread(self._pauses.save, pause)
        self._pause = pause
        self.decide()
        self.poke()

    def decide(self) -> None:
        """Look at everything again, and tell what came out."""
        facts, now = self._facts, self._facts.now()
        seeds = sum(each.role is Role.SEED for each in facts.neighbours())
        before, ordered = self.allowance, facts.seed_cap()
        limits = self._limits if ordered is None else replace(self._limits, seed_cap=ordered)
        self.allowance = allow(
            limits,
            self._pause,
            now,
            facts.local(now),
            role=facts.role,
            seeds=seeds,
            emergencies=urgent(facts.releases()),
        )
        if before.moving is not self.allowance.moving:
            log.info("line.%s reason=%s", _state(self.allowance), self.allowance.reason or "-")
        self._tell()

    def _tell(self) -> None:
        upload = self.allowance.upload
        if self._sending and upload:
            upload = max(1, upload // 2)
        self._pace.rate = upload
        now = replace(self.allowance, upload=upload)
        if now != self._told:
            self._told = now
            self._line.limit(now)

    def _patience(self) -> float | None:
        if self.allowance.until is None:
            return None
        return min(max(0.0, self.allowance.until - self._facts.now()), LOOK_AGAIN)

    def picture(self) -> Json:
        """What `status` shows: rates in bytes per second, `until` in Unix seconds."""
        allowance = self.allowance
        return {
            "moving": allowance.moving,
            "reason": allowance.reason,
            "until": allowance.until,
            "upload": allowance.upload,
            "download": allowance.download,
            "dscp": allowance.dscp,
            "exempt": len(allowance.exempt) // 2,
        }

    # -- Outlet of the peer API ------------------------------------------------------------------

    @property
    def dscp(self) -> int:
        """The mark of packets with payload."""
        return self.allowance.dscp

    @property
    def limited(self) -> bool:
        """Whether `admit` keeps a rate."""
        return self._pace.rate > 0

    def retry_after(self, digest: str) -> int | None:
        """Seconds until it is worth asking for that artifact again; None: it may move now."""
        if self.allowance.moves(digest):
            return None
        left = LONGEST_RETRY
        if self.allowance.until is not None:
            left = int(self.allowance.until - self._facts.now()) + 1
        return max(1, min(left, LONGEST_RETRY))

    @contextmanager
    def sending(self) -> Iterator[None]:
        """An artifact is sent meanwhile."""
        self._change_sending(1)
        try:
            yield
        finally:
            self._change_sending(-1)

    def _change_sending(self, by: int) -> None:
        before, self._sending = self._sending, self._sending + by
        if self.allowance.upload and bool(before) is not bool(self._sending):
            self._tell()

    async def admit(self, digest: str, amount: int) -> bool:
        """Wait until `amount` more bytes of it may go; False when it may not move any more."""
        await asyncio.sleep(self._pace.wait(amount, asyncio.get_running_loop().time()))
        return self.allowance.moves(digest)


def _state(allowance: Allowance) -> str:
    return "moving" if allowance.moving else "stopped"
