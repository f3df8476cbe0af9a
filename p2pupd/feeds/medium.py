"""One readable place with a repository: what sticks, directories and `import PATH` share."""

import asyncio
import logging
import os
import threading
from pathlib import Path
from typing import BinaryIO

from p2pupd.errors import NotARepository, SourceGone, UpdateError
from p2pupd.feeds.interface import FeedListener, Offer
from p2pupd.feeds.repository import open_target, read_layer, read_repository
from p2pupd.feeds.settings import MediaSettings
from p2pupd.model.release import Release

log = logging.getLogger(__name__)


class Medium:
    """A repository at `path`, until it is removed. Reading blocks; `removed` does not."""

    def __init__(self, kind: str, path: Path, limits: MediaSettings) -> None:
        """`kind` is the source's prefix: `usb`, `directory` or `import`."""
        self.source = f"{kind}:{os.fsencode(path).decode('utf-8', 'backslashreplace')}"
        self._path = path
        self._limits = limits
        self._gone = threading.Event()

    @property
    def gone(self) -> bool:
        return self._gone.is_set()

    def removed(self) -> None:
        """Every file that is open for reading ends with SourceGone, and lets go of the medium."""
        self._gone.set()

    def offer(self) -> Offer:
        """What is there now. Raises as read_repository does, or SourceGone after `removed`."""
        bundle = read_repository(self._path, self._limits)
        if self.gone:
            raise SourceGone(f"{self.source} was removed while it was read")
        return Offer(self.source, bundle, self.open_content, self.open_layer)

    def open_content(self, release: Release) -> BinaryIO:
        """See ContentOpener."""
        return open_target(self._path, release, self._gone.is_set)

    def open_layer(self, release: Release) -> bytes | None:
        """See LayerOpener."""
        return read_layer(self._path, release, self._gone.is_set)

    async def present(self, listener: FeedListener) -> None:
        """Read it and tell the listener; a medium without a repository is nobody's business."""
        try:
            offer = await asyncio.to_thread(self.offer)
        except NotARepository as error:
            log.info("media.ignored source=%s reason=%s", self.source, error)
        except SourceGone as error:
            log.warning("media.left-early source=%s error=%s", self.source, error)
        except UpdateError as error:
            log.warning(
                "media.refused source=%s reason=%s error=%s", self.source, error.reason, error
            )
            if not self.gone:
                listener.source_refused(self.source, error)
        else:
            if not self.gone:
                log.info("media.offered source=%s bytes=%d", self.source, len(offer.bundle))
                listener.offer(offer)


def read_offer(path: Path, limits: MediaSettings | None = None) -> Offer:
    """What an operator pointed at with `import PATH`. Blocks; raises as read_repository does."""
    return Medium("import", path, limits or MediaSettings()).offer()
