"""The device's history: each line is logged at once and kept in the journal, in order."""

import asyncio
import logging
from collections.abc import Callable

from p2pupd.errors import UpdateError
from p2pupd.journal.interface import HistoryEntry, Journal
from p2pupd.model.deployment import Deployment

log = logging.getLogger(__name__)


class History:
    """`note` never blocks or fails; `run` writes the lines down."""

    def __init__(self, journal: Journal, now: Callable[[], float]) -> None:
        self._journal = journal
        self._now = now
        self._waiting: asyncio.Queue[HistoryEntry] = asyncio.Queue()

    def note(self, event: str, **fields: str) -> None:
        """`event` is a stable id; `fields` say which, why and how much."""
        log.info("%s %s", event, " ".join(f'{key}="{value}"' for key, value in fields.items()))
        self._waiting.put_nowait(HistoryEntry(self._now(), event, fields))

    async def run(self) -> None:
        """Until cancelled. A line that the disk refuses is only in the log."""
        while True:
            entry = await self._waiting.get()
            try:
                await asyncio.to_thread(self._journal.note, entry)
            except UpdateError as error:
                log.warning("history.lost event=%s error=%s", entry.event, error)


def phase_fields(record: Deployment) -> dict[str, str]:
    """What a line about a new phase tells."""
    return {
        "id": record.id,
        "release": record.release.label if record.release else record.source,
        "reason": record.reason,
        "detail": record.detail,
    }
