"""Configured directories: a repository that appears in one is taken in, as from a stick."""

import asyncio
import logging
from pathlib import Path

from p2pupd.feeds.interface import FeedListener
from p2pupd.feeds.medium import Medium
from p2pupd.feeds.repository import fingerprint
from p2pupd.feeds.settings import MediaSettings

log = logging.getLogger(__name__)


class DirectoryFeed:
    """A Feed. Looks at the directories every `poll` seconds; they need not exist.

    A repository is read once it has looked the same twice: somebody may be copying it there just
    now. When it changes, it is offered again.
    """

    def __init__(self, settings: MediaSettings) -> None:
        self._settings = settings

    async def run(self, listener: FeedListener) -> None:
        """See Feed."""
        async with asyncio.TaskGroup() as group:
            for each in self._settings.directories:
                group.create_task(self._watch(each, listener), name=f"directory {each}")

    async def _watch(self, path: Path, listener: FeedListener) -> None:
        before = presented = None
        medium: Medium | None = None
        try:
            while True:
                now = await asyncio.to_thread(fingerprint, path, self._settings)
                if now is None and medium is not None:
                    log.info("directory.gone source=%s", medium.source)
                    medium.removed()
                    listener.source_gone(medium.source)
                    medium = presented = None
                elif now is not None and now == before and now != presented:
                    medium = medium or Medium("directory", path, self._settings)
                    presented = now
                    await medium.present(listener)
                before = now
                await asyncio.sleep(self._settings.poll)
        finally:
            if medium is not None:
                medium.removed()
