"""Tells the floor about this device: whenever something changes, and from time to time anyway."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from p2pupd.core.floor import Taken
from p2pupd.engine.fleetsync import FleetSync
from p2pupd.engine.own_word import OwnWord
from p2pupd.engine.shelves import RecordShelf
from p2pupd.errors import UpdateError
from p2pupd.model.fleet import StatusRecord

log = logging.getLogger(__name__)

SETTLE: Final = 0.1
"""Seconds in which changes that come together are told together."""
LOOK: Final = 2.0
"""Seconds between two looks at the progress of a transfer, on a floor of at most FEW devices; on a
larger one, where each takes longer to have the image, proportionally more."""
FEW: Final = 8

Content = Callable[[], Awaitable[StatusRecord]]
"""The record of now, without its number. Raises UpdateError."""


class Telling:
    def __init__(
        self,
        word: OwnWord,
        shelf: RecordShelf,
        sync: FleetSync,
        on_said: Callable[[], None],
        devices: Callable[[], int],
    ) -> None:
        """`on_said` is called after every record of this device; so many are the `devices`."""
        self._word = word
        self._shelf = shelf
        self._sync = sync
        self._on_said = on_said
        self._devices = devices
        self._changed = asyncio.Event()

    def poke(self) -> None:
        """Something may have changed."""
        self._changed.set()

    async def run(self, content: Content) -> None:
        """Until cancelled. What cannot be read just now is told later.

        Beats come up to a quarter early: a floor that was switched on at once does not speak at
        once.
        """
        loop = asyncio.get_running_loop()
        beat_due, first = loop.time(), True
        while True:
            self._changed.clear()
            try:
                record = await content()
                differs = first or self._word.differs(record)
                if differs or loop.time() >= beat_due:
                    await self._say(record, tell=differs)
                    early = random.random() / 4  # noqa: S311 - spreads load, no secret
                    beat_due, first = loop.time() + record.beat * (1 - early), False
            except UpdateError as error:
                log.warning("fleet.not-told reason=%s error=%s", error.reason, error)
                record = None
            await self._wait(record, beat_due - loop.time())

    async def _say(self, record: StatusRecord, *, tell: bool) -> None:
        raw = await asyncio.to_thread(self._word.next, record)
        taken, name = self._shelf.say(raw)
        if tell or taken is Taken.NEWS:
            self._sync.changed(name)
        self._on_said()

    async def _wait(self, record: StatusRecord | None, beat: float) -> None:
        """Until something may have changed. While bytes move nobody says that they do; where there
        is no record, which is tried again, a beat that is overdue is no reason to hurry."""
        look, pause = LOOK * max(1, self._devices() / FEW), beat
        if record is None:
            pause = look
        elif record.deployment and record.deployment.length > 0:
            pause = min(beat, look)
        try:
            async with asyncio.timeout(max(0, pause)):
                await self._changed.wait()
        except TimeoutError:
            return
        await asyncio.sleep(SETTLE)
