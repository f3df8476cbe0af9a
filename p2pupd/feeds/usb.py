"""Sticks: every file system that is newly mounted where sticks are, with no command typed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from p2pupd.errors import HostError
from p2pupd.feeds.interface import FeedListener
from p2pupd.feeds.medium import Medium
from p2pupd.feeds.settings import MediaSettings
from p2pupd.host.mounts import Mount, is_removable, watch

log = logging.getLogger(__name__)


class UsbFeed:
    """A Feed. Media that are mounted when it starts are offered too; it writes to none."""

    def __init__(
        self,
        settings: MediaSettings,
        mounts: Callable[[], AsyncIterator[tuple[Mount, ...]]] = watch,
        removable: Callable[[str], bool] = is_removable,
    ) -> None:
        self._settings = settings
        self._mounts = mounts
        self._removable = removable
        self._points = settings.mount_points

    async def run(self, listener: FeedListener) -> None:
        """See Feed. Raises HostError when the mount table cannot be read."""
        present: dict[Mount, Medium] = {}
        failure: HostError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                try:
                    async for mounts in self._mounts():
                        self._compare(mounts, present, group, listener)
                except HostError as error:
                    failure = error
        finally:
            for medium in present.values():
                medium.removed()
        if failure is not None:
            raise failure

    def _compare(
        self,
        mounts: tuple[Mount, ...],
        present: dict[Mount, Medium],
        group: asyncio.TaskGroup,
        listener: FeedListener,
    ) -> None:
        now = self._sticks(mounts)
        for mount in present.keys() - now:
            medium = present.pop(mount)
            log.info("usb.gone source=%s", medium.source)
            medium.removed()
            listener.source_gone(medium.source)
        for mount in now - present.keys():
            medium = present[mount] = Medium("usb", mount.point, self._settings)
            log.info("usb.mounted source=%s kind=%s", medium.source, mount.kind)
            group.create_task(medium.present(listener), name=medium.source)

    def _sticks(self, mounts: tuple[Mount, ...]) -> set[Mount]:
        """Those that are sticks, without what another mount hides."""
        visible = {mount.point: mount for mount in mounts}
        return {mount for mount in visible.values() if self._is_stick(mount)}

    def _is_stick(self, mount: Mount) -> bool:
        if mount.kind in self._settings.ignored_filesystems or mount.point == Path("/"):
            return False
        if any(mount.point.is_relative_to(point) for point in self._points):
            return True
        return self._settings.removable and self._removable(mount.device)
