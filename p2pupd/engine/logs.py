"""The newest lines of history of this device and its neighbours, signed: for the stick home."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from p2pupd.errors import RecordError, UpdateError
from p2pupd.journal.interface import HistoryEntry, Journal
from p2pupd.model.device import Neighbour
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.model.logbook import Logbook, LogLine
from p2pupd.trust.envelope import unseal
from p2pupd.trust.identity import Identity
from p2pupd.trust.logbook import MAX_BYTES, sign, verified
from p2pupd.wire.logbook import MAX_LINES

log = logging.getLogger(__name__)

FRESH: Final = 5.0
"""Seconds for which one answer serves all who ask for this device's lines."""
AT_ONCE: Final = 4
"""Neighbours that are asked at the same time."""
MOST: Final = 256
"""Devices whose lines are kept."""

Ask = Callable[[Neighbour], Awaitable[bytes]]
"""PeerClient.log. Raises FetchError or ProtocolError."""


class Logs:
    """What a neighbour said last is kept: it may be gone when the stick comes."""

    def __init__(
        self,
        identity: Identity,
        realm: Realm,
        journal: Journal,
        *,
        now: Callable[[], float],
        neighbours: Callable[[], Iterable[Neighbour]],
        ask: Ask,
    ) -> None:
        """`now` gives Unix seconds."""
        self._identity = identity
        self._realm = realm
        self._journal = journal
        self._now = now
        self._neighbours = neighbours
        self._ask = ask
        self._own: bytes = b""
        self._made: float | None = None
        self._others: dict[DeviceId, bytes] = {}

    async def own(self) -> bytes:
        """This device's lines, as an envelope. Raises HostError or SpaceError."""
        time = asyncio.get_running_loop().time()
        if self._made is None or time - self._made > FRESH:
            self._made = time
            self._own = await asyncio.to_thread(self._signed)
        return self._own

    async def gathered(self) -> list[bytes]:
        """Envelopes of this device and of all neighbours that answer, or did before. Raises as
        `own` does."""
        places = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for each in list(self._neighbours()):
                group.create_task(self._bring(each, places), name=f"log {each.id}")
        return [await self.own(), *self._others.values()]

    async def _bring(self, neighbour: Neighbour, places: asyncio.Semaphore) -> None:
        try:
            async with places:
                raw = await self._ask(neighbour)
            book = verified(unseal(raw, MAX_BYTES), self._realm)
            if book.device != neighbour.id:
                raise RecordError(f"it gave lines of {book.device}")
        except UpdateError as error:
            log.info("logs.not-brought id=%s reason=%s error=%s", neighbour.id, error.reason, error)
            return
        self._others.pop(neighbour.id, None)
        self._others[neighbour.id] = raw
        if len(self._others) > MOST:
            del self._others[next(iter(self._others))]

    def _signed(self) -> bytes:
        lines = tuple(map(_line, self._journal.history(MAX_LINES)))
        book = Logbook(self._identity.id, self._realm, int(self._now()), lines)
        return sign(book, self._identity)


def _line(entry: HistoryEntry) -> LogLine:
    fields = ((name, str(text)) for name, text in entry.fields.items() if text)
    return LogLine(int(entry.at), entry.event, tuple(fields))
