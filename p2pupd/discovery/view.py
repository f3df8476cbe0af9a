"""The neighbours that this device keeps: merged from every source, bounded, each one asked first.

What a source says is a hint. A hint becomes a candidate if it is of our realm and in an allowed
network and there is room; a candidate becomes a neighbour when its peer API answers a hello with
the id and the realm that were claimed. Of more devices than wanted those are kept that rank best
by a hash of both ids: the same ones on every start, and mostly on both sides.
"""

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from p2pupd.core.backoff import delay
from p2pupd.core.token_bucket import TokenBucket
from p2pupd.discovery import static
from p2pupd.discovery.interface import AskHello, DiscoveryListener
from p2pupd.discovery.interfaces import InterfaceWatcher
from p2pupd.discovery.settings import DiscoverySettings
from p2pupd.errors import ProtocolError, UpdateError
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.ids import DeviceId, ManifestDigest, Realm, announced
from p2pupd.wire.messages import Hello

log = logging.getLogger(__name__)

SOURCE: Final = "view"
ASK_SPREAD: Final = 1 / 4
"""A neighbour is asked up to that share of its interval earlier, so that not all are at once."""
NOTIFY: Final = "notify"
"""The source of a device that we know because it told us something."""
HEARD_AGAIN: Final = 0.2
"""Seconds after which a silent device is asked again when a source names it anew."""
RETRY_EACH: Final = 3.0
RETRY_MOST: Final = 60.0
RETRY_SPREAD: Final = 3 / 4
"""A silent device is asked again after so many seconds for each device that is remembered, and
after the second number at most, less up to that share of it: whatever the size of a floor, all of
it asks a device that is off every two seconds, and not together, so that a floor that was cut in
two at one moment meets again as soon."""


@dataclass(slots=True, eq=False)
class Candidate:
    """`hint` is what was last claimed, `active` the neighbour it is if its hello was right.

    `due` is when to ask it next, on the event loop's clock; `failures` counts unanswered hellos
    in a row.
    """

    hint: Neighbour
    rank: bytes
    due: float
    failures: int = 0
    active: Neighbour | None = None
    asking: bool = False
    sources: set[str] = field(default_factory=set)


class View:
    """`DiscoveryListener` towards the sources; tells its own listener of admitted neighbours."""

    def __init__(
        self,
        settings: DiscoverySettings,
        me: DeviceId,
        realm: Realm,
        *,
        ask_hello: AskHello,
        interfaces: InterfaceWatcher,
        listener: DiscoveryListener,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._me = me
        self._realm = realm
        self._ask_hello = ask_hello
        self._interfaces = interfaces
        self._listener = listener
        self._clock = clock
        self._chance = chance
        self._candidates: dict[DeviceId, Candidate] = {}
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def neighbours(self) -> tuple[Neighbour, ...]:
        """The admitted neighbours, best rank first."""
        active = sorted(self._active(), key=lambda candidate: candidate.rank)
        return tuple(candidate.active for candidate in active if candidate.active)

    def __len__(self) -> int:
        """How many devices are remembered, admitted or not."""
        return len(self._candidates)

    def neighbour_seen(self, neighbour: Neighbour) -> None:
        """A source claims that this device is there."""
        if neighbour.id == self._me or neighbour.realm != self._realm:
            return
        if neighbour.source != static.SOURCE and not self._interfaces.allows(neighbour.host):
            return
        candidate = self._candidates.get(neighbour.id)
        if candidate is None:
            rank = self._rank(neighbour.id)
            if not self._make_room(neighbour.host, rank):
                return
            candidate = Candidate(neighbour, rank, self._loop.time())
            self._candidates[neighbour.id] = candidate
        candidate.sources.add(neighbour.source)
        self._heed(candidate, neighbour)
        self._wake.set()

    def neighbour_lost(self, neighbour: DeviceId, source: str) -> None:
        """A source says that it left: believed at once, asked once more in case it was forged."""
        candidate = self._candidates.get(neighbour)
        if candidate is None or source not in candidate.sources:
            return
        candidate.sources.discard(source)
        if not candidate.sources:
            candidate.failures = self._settings.forget_after - 1
        candidate.due = self._loop.time() + self._settings.return_delay
        self._drop(candidate, "goodbye")

    def told(
        self,
        neighbour: DeviceId,
        manifest: ManifestDigest,
        host: str,
        port: int,
        *,
        uplink: bool = False,
    ) -> None:
        """A notify came from `host`. Counts as a sighting, from an admitted neighbour as news."""
        known = self._candidates.get(neighbour)
        if known and known.active and known.active.host == host:
            said = replace(known.active, manifest=announced(manifest), uplink=uplink)
            self._heed(known, said)
            self._wake.set()
        elif known is None or not known.active:
            self.neighbour_seen(
                Neighbour(
                    neighbour, host, port, 0, self._realm, announced(manifest), Role.PEER, NOTIFY
                )
            )

    def suspect(self, neighbour: DeviceId) -> None:
        """Something failed with this neighbour: ask it now whether it lives."""
        candidate = self._candidates.get(neighbour)
        if candidate and candidate.active:
            candidate.due = self._loop.time()
            self._wake.set()

    async def run(self) -> None:
        """Ask candidates and neighbours for their hello as they fall due, until cancelled."""
        bucket = TokenBucket(
            self._settings.probe_rate, self._settings.probe_burst, self._loop.time()
        )
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                candidate = self._next()
                pause = candidate.due - self._loop.time() if candidate else None
                if candidate is None or (pause and pause > 0):
                    await self._sleep(pause)
                elif bucket.take(self._loop.time()):
                    candidate.asking = True
                    group.create_task(self._ask(candidate))
                else:
                    await asyncio.sleep(bucket.wait(self._loop.time()))

    async def _sleep(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _next(self) -> Candidate | None:
        """Whom to ask next: of those who are due who failed least; else who will be due first."""
        asking = sum(candidate.asking for candidate in self._candidates.values())
        if asking >= self._settings.probes_at_once:
            return None
        now = self._loop.time()
        worst = self._worst_rank_wanted()
        waiting = [
            candidate
            for candidate in self._candidates.values()
            if not candidate.asking
            and (candidate.active or worst is None or candidate.rank < worst)
        ]
        due = [candidate for candidate in waiting if candidate.due <= now]
        if due:
            return min(due, key=lambda candidate: (candidate.failures, candidate.due))
        return min(waiting, key=lambda candidate: candidate.due, default=None)

    async def _ask(self, candidate: Candidate) -> None:
        asked = candidate.hint
        try:
            hello = await self._ask_hello(asked.host, asked.port)
            self._check(hello, asked)
        except UpdateError as error:
            log.debug("view.silent id=%s host=%s detail=%s", asked.id, asked.host, error)
            self._failed(candidate, asked)
        else:
            self._answered(candidate, asked, hello)
        finally:
            candidate.asking = False
            self._wake.set()

    def _check(self, hello: Hello, asked: Neighbour) -> None:
        if hello.id != asked.id or hello.realm != self._realm:
            raise ProtocolError(
                f"{asked.host}:{asked.port} was announced as {asked.id} but says it is {hello.id}",
                reason="wrong-identity",
            )

    def _failed(self, candidate: Candidate, asked: Neighbour) -> None:
        active = candidate.active
        if active and _place(active) != _place(asked):
            candidate.hint = active
            return
        candidate.failures += 1
        if candidate.failures >= self._settings.lost_after:
            self._drop(candidate, "silent")
        longest = min(RETRY_EACH * len(self._candidates), RETRY_MOST)
        spread = ASK_SPREAD if candidate.active else RETRY_SPREAD
        candidate.due = self._after(min(delay(candidate.failures, 0), longest), spread)
        known = self._candidates.get(asked.id) is candidate
        if known and candidate.failures >= self._settings.forget_after:
            del self._candidates[asked.id]

    def _after(self, seconds: float, spread: float) -> float:
        """When so many seconds are over, or up to that share of them earlier, by chance."""
        return self._loop.time() + seconds * (1 - self._chance() * spread)

    def _answered(self, candidate: Candidate, asked: Neighbour, hello: Hello) -> None:
        if self._candidates.get(asked.id) is not candidate:
            return
        before, was_silent = candidate.active, candidate.failures > 0
        now = static.neighbour_of(hello, asked.host, asked.port, asked.source, self._clock())
        candidate.active = now
        candidate.failures = 0
        candidate.due = self._after(self._settings.check_interval, ASK_SPREAD)
        if before is None or replace(before, last_seen=now.last_seen) != now:
            if before is None:
                log.info("neighbour.found id=%s host=%s via=%s", now.id, now.host, now.source)
            self._listener.neighbour_seen(now)
        if before is None and was_silent:
            self._ask_the_silent()
        active = list(self._active())
        if len(active) > self._settings.neighbours:
            surplus = max(active, key=lambda candidate: candidate.rank)
            surplus.due = self._loop.time()
            self._drop(surplus, "surplus")

    def _ask_the_silent(self) -> None:
        """One is back: what had cut it off may have cut off others."""
        for each in self._candidates.values():
            if each.failures and each.active is None:
                each.due = min(each.due, self._loop.time())

    def _heed(self, candidate: Candidate, claim: Neighbour) -> None:
        """A manifest from the known place is news at once; anything else is asked about first."""
        active = candidate.active
        candidate.hint = claim
        if active is None:
            again = HEARD_AGAIN if candidate.failures else 0.0
            candidate.due = min(candidate.due, self._loop.time() + again)
        elif _facts(active) != _facts(claim):
            candidate.due = self._loop.time()
        if active and _place(active) == _place(claim) and claim.manifest != active.manifest:
            candidate.active = replace(active, manifest=claim.manifest, last_seen=self._clock())
            self._listener.neighbour_seen(candidate.active)

    def _drop(self, candidate: Candidate, why: str) -> None:
        active, candidate.active = candidate.active, None
        if active:
            log.info("neighbour.lost id=%s host=%s reason=%s", active.id, active.host, why)
            self._listener.neighbour_lost(active.id, SOURCE)
        self._wake.set()

    def _active(self) -> Iterable[Candidate]:
        return (candidate for candidate in self._candidates.values() if candidate.active)

    def _worst_rank_wanted(self) -> bytes | None:
        """Candidates must rank below this to be worth asking; None while there is room."""
        ranks = [candidate.rank for candidate in self._active()]
        return max(ranks) if len(ranks) >= self._settings.neighbours else None

    def _rank(self, other: DeviceId) -> bytes:
        pair = "".join(sorted((self._me, other)))
        return hashlib.sha256(pair.encode()).digest()

    def _make_room(self, host: str, rank: bytes) -> bool:
        """Whether one more device at `host` may be remembered; forgets a lesser one if need be."""
        everyone = list(self._candidates.values())
        there = [candidate for candidate in everyone if candidate.hint.host == host]
        if len(there) >= self._settings.candidates_per_host:
            return self._forget_one(there, rank)
        if len(everyone) >= self._settings.candidates:
            return self._forget_one(everyone, rank)
        return True

    def _forget_one(self, among: list[Candidate], rank: bytes) -> bool:
        """The one that failed most, else the worst rank if worse than `rank`; never a neighbour."""
        idle = [candidate for candidate in among if not candidate.active]
        worst = max(idle, key=lambda candidate: (candidate.failures, candidate.rank), default=None)
        if worst is None or (not worst.failures and worst.rank <= rank):
            return False
        del self._candidates[worst.hint.id]
        return True


def _facts(neighbour: Neighbour) -> tuple[object, ...]:
    """What only its own hello can change."""
    return *_place(neighbour), neighbour.role, neighbour.uplink


def _place(neighbour: Neighbour) -> tuple[str, int, int]:
    return neighbour.host, neighbour.port, neighbour.bt_port
