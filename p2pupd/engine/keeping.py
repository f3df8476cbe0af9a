"""What stays in the store, and what goes when its work is done."""

import asyncio
from collections.abc import Iterable

from p2pupd.engine.parts import Parts
from p2pupd.model.deployment import Deployment
from p2pupd.model.device import Role
from p2pupd.model.ids import Sha256


class Keeper:
    """Of one device, in its role."""

    def __init__(self, parts: Parts, role: Role) -> None:
        self._parts = parts
        self._leech = role is Role.LEECH

    async def protect(self, under_way: Iterable[Deployment], wanted: frozenset[Sha256]) -> None:
        """Never evict what is on its way, nor, but on a leech, what is `wanted`, is installed, or
        was before it."""
        keep = {each.release.artifact.sha256 for each in under_way if each.release}
        if not self._leech:
            slots = await asyncio.to_thread(self._parts.journal.slots)
            keep |= wanted | {Sha256(each.image_sha256) for each in slots.values() if each}
        await asyncio.to_thread(self._parts.store.protect, frozenset(keep))

    async def trim(self) -> None:
        """A leech has no use for an artifact that was installed, and nobody gets it from there."""
        if self._leech:
            most = self._parts.leech_cache
            for each in await asyncio.to_thread(self._parts.store.trim, most):
                await self._parts.swarm.drop(each.artifact)
