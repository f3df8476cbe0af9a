"""What stays in the store, and what goes when its work is done. core/retention.py decides."""

import asyncio
from collections.abc import Iterable

from p2pupd.core.retention import retention
from p2pupd.delta.files import opened
from p2pupd.delta.unpacking import header_of
from p2pupd.engine.parts import Parts
from p2pupd.errors import HostError, PackError
from p2pupd.model.deployment import Deployment
from p2pupd.model.device import Role
from p2pupd.model.ids import Sha256


class Keeper:
    """Of one device, in its role."""

    def __init__(self, parts: Parts, role: Role) -> None:
        self._parts = parts
        self._role = role
        self._images: dict[Sha256, Sha256 | None] = {}

    async def protect(self, under_way: Iterable[Deployment], wanted: frozenset[Sha256]) -> None:
        """Tell the store what it must keep as long as it can."""
        found = retention(
            self._role,
            under_way=[each.release.artifact.sha256 for each in under_way if each.release],
            wanted=wanted,
            slots=(await asyncio.to_thread(self._parts.journal.slots)).values(),
            packs=await asyncio.to_thread(self._packs),
        )
        await asyncio.to_thread(self._parts.store.protect, found.never, found.last)

    def _packs(self) -> dict[Sha256, Sha256]:
        """The packs of the store, and their images. Each header is read once."""
        here = {each.artifact.sha256: each for each in self._parts.store.objects() if each.verified}
        for sha256 in here.keys() - self._images.keys():
            try:
                with opened(here[sha256].path) as file:
                    self._images[sha256] = header_of(file).image_sha256
            except (PackError, HostError):
                self._images[sha256] = None
        return {sha256: image for sha256 in here if (image := self._images[sha256])}

    async def trim(self) -> None:
        """A leech has no use for an artifact that was installed, and nobody gets it from there."""
        if self._role is Role.LEECH:
            most = self._parts.leech_cache
            for each in await asyncio.to_thread(self._parts.store.trim, most):
                await self._parts.swarm.drop(each.artifact)
