"""Brings views of the floor together: anti-entropy with a few neighbours, news at once.

News (not the mere sign of life) goes to a few neighbours at once, who pass it on; what follows soon
after goes together. A neighbour whose hello tells another digest of its news is compared with, and
at rest one neighbour a minute, which is how signs of life spread. An exchange compares digests,
part by part where there is much, and moves what either lacks; each message is bounded, and so is
the number of messages.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from p2pupd.core.digest_tree import DIGITS, ORDERS, Difference, Index, compare
from p2pupd.core.floor import Taken
from p2pupd.core.token_bucket import TokenBucket
from p2pupd.engine.fleet_settings import FleetSettings
from p2pupd.engine.shelves import Shelf
from p2pupd.errors import ProtocolError, RecordError, UpdateError
from p2pupd.model.device import Neighbour
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.trust.envelope import Envelope, unseal
from p2pupd.trust.records import MAX_BYTES
from p2pupd.wire import sync as wire
from p2pupd.wire.sync import Answer, Ask, Item, decode_answer, decode_ask

log = logging.getLogger(__name__)

FAN_OUT: Final = 2
"""Neighbours that are told news at once."""
AT_ONCE: Final = 3
"""Exchanges that this device has under way."""
ROUNDS: Final = 24
LONGEST: Final = 60.0
"""Messages of one exchange at most, and its seconds; what is left then is for the next."""
RATE: Final = 2.0
BURST: Final = 8
"""Exchanges begun per second in the long run, and at once."""
STRANGE: Final = 10.0
"""Seconds for which is remembered what devices told that are no neighbours (yet)."""
REST: Final = 3.0
FUTILE_REST: Final = 300.0
"""Seconds that a neighbour which still differs is left alone, and if nothing could be moved."""

Call = Callable[[Neighbour, bytes], Awaitable[bytes]]
"""Sends a question to a neighbour's peer API; its answer. Raises FetchError or ProtocolError."""


@dataclass(frozen=True, slots=True)
class _Task:
    """Whom to compare with, and what to tell it first."""

    neighbour: Neighbour
    names: tuple[bytes, ...] = ()


class FleetSync:
    """The one who speaks with neighbours about the floor. Knows nothing of what items mean."""

    def __init__(
        self,
        settings: FleetSettings,
        realm: Realm,
        index: Index,
        *,
        neighbours: Callable[[], Iterable[Neighbour]],
        call: Call,
        now: Callable[[], float],
        on_news: Callable[[], None],
        chance: random.Random | None = None,
        longest: float = LONGEST,
    ) -> None:
        """`on_news` is called when others have said something new; `now` gives Unix seconds. An
        exchange takes `longest` seconds at most."""
        self._settings = settings
        self._realm = realm
        self._index = index
        self._neighbours = neighbours
        self._call, self._longest = call, longest
        self._now = now
        self._on_news = on_news
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, no secret
        self._shelves: dict[str, Shelf] = {}
        self.dropped: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._fresh: set[bytes] = set()
        self._targets: list[_Task] = []
        self._quiet_until = 0.0
        self._differing: dict[DeviceId, float] = {}
        self._rests: dict[DeviceId, float] = {}
        self._busy: set[DeviceId] = set()
        self._periodic_at = self._loop.time() + settings.interval * self._chance.random()

    def add(self, shelf: Shelf) -> None:
        """One more kind of item spreads."""
        self._shelves[shelf.type] = shelf

    @property
    def digest(self) -> bytes:
        """What a hello tells: equal where the same news is known."""
        return self._index.news.digest()

    def told(self, neighbour: DeviceId, digest: bytes) -> None:
        """A neighbour has told its digest."""
        if digest and digest != self.digest:
            self._differing.setdefault(neighbour, self._loop.time())
            self._wake.set()
        else:
            self._differing.pop(neighbour, None)

    def met(self) -> None:
        """There is another neighbour, or one less."""
        self._wake.set()

    def changed(self, name: bytes) -> None:
        """An item of this device's own is new: tell it at once."""
        self._fresh.add(name)
        self._wake.set()

    async def answer(self, raw: bytes) -> bytes:
        """Answer a neighbour's question. Raises ProtocolError."""
        ask = decode_ask(raw)
        if ask.realm != self._realm:
            self.dropped["other-realm"] += 1
            raise ProtocolError(f"this device is of realm {self._realm}", reason="other-realm")
        await self._take(ask.items)
        stamps = self._index.stamps
        answer = Answer(stamps.digest(ask.part), self.digest, items=self._fitting(ask.wanted)[0])
        if ask.wanted or answer.digest == ask.digest:
            return answer.encode()
        held = stamps.items(ask.part)
        if len(held) <= wire.MAX_LISTED:
            return Answer(answer.digest, answer.view, listed=held).encode()
        return Answer(answer.digest, answer.view, children=stamps.children(ask.part)).encode()

    async def run(self) -> None:
        """Speak with neighbours as there is reason to, until cancelled."""
        bucket = TokenBucket(RATE, BURST, self._loop.time())
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                task = self._next()
                if task is None:
                    await self._sleep()
                    continue
                await asyncio.sleep(bucket.wait(self._loop.time()))
                bucket.take(self._loop.time())
                self._busy.add(task.neighbour.id)
                group.create_task(self._exchange(task), name="fleet-exchange")

    async def _sleep(self) -> None:
        """Until something happens, or something falls due that can be done."""
        due = None
        if self._free():
            due = min(self._periodic_at, self._quiet_until) if self._fresh else self._periodic_at
        try:
            async with asyncio.timeout_at(due):
                await self._wake.wait()
        except TimeoutError:
            return

    def _free(self) -> dict[DeviceId, Neighbour]:
        """The neighbours with whom an exchange may be begun."""
        if len(self._busy) >= AT_ONCE:
            return {}
        return {each.id: each for each in self._neighbours() if each.id not in self._busy}

    def _next(self) -> _Task | None:
        """The exchange to begin now: telling news, then whoever differs, then one at rest."""
        now, free = self._loop.time(), self._free()
        if not free:
            return None
        self._forget_strangers(free.keys() | self._busy)
        if self._fresh and not self._targets and now >= self._quiet_until:
            names, self._fresh = tuple(self._fresh), set()
            chosen = self._chance.sample(sorted(free), min(FAN_OUT, len(free)))
            self._targets = [_Task(free[each], names) for each in chosen]
            self._quiet_until = now + self._settings.pace
        while self._targets:
            task = self._targets.pop()
            if task.neighbour.id in free:
                return task
        for each in [each for each in self._differing if each in free]:
            del self._differing[each]
            if self._rests.get(each, 0) <= now:
                return _Task(free[each])
        if now >= self._periodic_at:
            self._periodic_at = now + self._settings.interval * (0.75 + self._chance.random() / 2)
            return _Task(free[self._chance.choice(sorted(free))])
        return None

    def _forget_strangers(self, known: set[DeviceId]) -> None:
        """Who has told its digest may be admitted as a neighbour a moment later."""
        for memory in (self._rests, self._differing):
            for each in [each for each in memory if each not in known]:
                if memory[each] < self._loop.time() - STRANGE:
                    del memory[each]

    async def _exchange(self, task: _Task) -> None:
        neighbour = task.neighbour
        try:
            async with asyncio.timeout(self._longest):
                view, futile = await self._compare(task)
            if view != self.digest:
                rest = FUTILE_REST if futile else REST
                self._rests[neighbour.id] = self._loop.time() + rest
        except TimeoutError:
            self._rests[neighbour.id] = self._loop.time() + FUTILE_REST
            log.debug("fleet.exchange-slow with=%s", neighbour.id)
        except UpdateError as error:
            log.debug("fleet.exchange-failed with=%s error=%s", neighbour.id, error)
        finally:
            self._busy.discard(neighbour.id)
            self._wake.set()

    async def _compare(self, task: _Task) -> tuple[bytes, bool]:
        """The neighbour's digest in the end, and whether both differ and nothing could be moved:
        what one of them turns away (a full view, another site) changes neither.

        Digests of news that differ while nothing else does are of two moments.
        """
        items, _ = self._fitting(task.names)
        parts, view, rounds = [""], b"", 0
        differs = moved = False
        while parts and rounds < ROUNDS:
            part = parts.pop()
            rounds += 1
            answer = await self._ask(task.neighbour, Ask(self._realm, part, self._at(part), items))
            items, view = (), answer.view
            if answer.digest == self._at(part):
                continue
            differs = True
            if answer.listed is not None:
                difference, before = self._difference(part, answer.listed), self._at(part)
                last, used = await self._move(task.neighbour, part, difference, answer)
                more = (last.digest, self._at(part)) != (answer.digest, before)
                view = last.view
                rounds += used
                moved = moved or more
            parts += self._apart(part, answer.children)
        return view, differs and not moved

    def _apart(self, part: str, children: Sequence[bytes]) -> list[str]:
        """The parts of it that differ, in the order in which none starves: the last one is looked
        into first. That is the one of the orders; the rest is left to chance."""
        found = [
            part + digit
            for digit, digest in zip(DIGITS, children, strict=False)
            if digest != self._at(part + digit)
        ]
        self._chance.shuffle(found)
        return sorted(found, key=lambda each: not each.strip(DIGITS[0]))

    async def _move(
        self, neighbour: Neighbour, part: str, difference: Difference, answer: Answer
    ) -> tuple[Answer, int]:
        """Give and take what differs: the last answer, after how many messages."""
        give, want = list(difference.they_lack), list(difference.we_lack)
        used = 0
        while (give or want) and used < ROUNDS:
            items, count = self._fitting(give)
            del give[:count]
            wanted = tuple(want[: wire.MAX_WANTED])
            ask = Ask(self._realm, part, self._at(part), items, wanted)
            answer = await self._ask(neighbour, ask)
            used += 1
            want = want[len(answer.items) :] if answer.items else []
        return answer, used

    def _difference(self, part: str, listed: Mapping[bytes, bytes]) -> Difference:
        """Strangers are not asked for while there is no room for them; orders always are."""
        mine = self._index.stamps.items(part)
        difference = compare(mine, listed)
        if not any(shelf.full for shelf in self._shelves.values()):
            return difference
        known = tuple(
            each for each in difference.we_lack if each in mine or each.startswith(ORDERS)
        )
        return Difference(difference.they_lack, known)

    async def _ask(self, neighbour: Neighbour, ask: Ask) -> Answer:
        answer = decode_answer(await self._call(neighbour, ask.encode()))
        await self._take(answer.items)
        return answer

    def _at(self, part: str) -> bytes:
        return self._index.stamps.digest(part)

    def _fitting(self, names: Sequence[bytes]) -> tuple[tuple[Item, ...], int]:
        """The items with these names, as many as one message takes; how many names that were."""
        items: list[Item] = []
        size, now = 0, self._now()
        for count, name in enumerate(names):
            found = self._find(name)
            if found is None:
                continue
            raw, heard = found
            if size + len(raw) > wire.ITEMS_BYTES or len(items) == wire.MAX_ITEMS:
                return tuple(items), count
            size += len(raw)
            items.append(Item(raw, min(wire.OLDEST, max(0, int(now - heard)))))
        return tuple(items), len(names)

    def _find(self, name: bytes) -> tuple[bytes, float] | None:
        for shelf in self._shelves.values():
            if (found := shelf.find(name)) is not None:
                return found
        return None

    async def _take(self, items: Sequence[Item]) -> None:
        """Judge what came; pass news on."""
        if not items:
            return
        opened = await asyncio.to_thread(_opened, items)
        news = False
        for item, envelope in zip(items, opened, strict=True):
            taken = self._judge(item, envelope)
            news = news or taken is Taken.NEWS
        if news:
            self._wake.set()
            self._on_news()

    def _judge(self, item: Item, envelope: Envelope | RecordError) -> Taken | None:
        try:
            if isinstance(envelope, RecordError):
                raise envelope
            shelf = self._shelves.get(envelope.type)
            if shelf is None:
                raise RecordError(f"unknown kind {envelope.type!r}", reason="unknown-kind")
            taken, name = shelf.take(envelope, item.raw, self._now() - item.age)
        except RecordError as error:
            self._drop(error.reason)
            return None
        if taken is Taken.NEWS:
            self._fresh.add(name)
        elif taken in _DROPPED:
            self._drop(_DROPPED[taken])
        return taken

    def _drop(self, reason: str) -> None:
        self.dropped[reason] += 1
        log.debug("fleet.dropped reason=%s", reason)


_DROPPED: Final = {Taken.OLD: "replayed", Taken.FULL: "full"}


def _opened(items: Sequence[Item]) -> list[Envelope | RecordError]:
    """Blocks for a signature each."""
    found: list[Envelope | RecordError] = []
    for each in items:
        try:
            found.append(unseal(each.raw, MAX_BYTES))
        except RecordError as error:
            found.append(error)
    return found
