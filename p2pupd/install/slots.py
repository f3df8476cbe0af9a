"""The A/B installer: write the spare slot, try it once, keep it or return."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Final

from p2pupd.errors import InstallError
from p2pupd.host.threads import to_the_end
from p2pupd.install import slot_file
from p2pupd.install.image import UNPACKERS, blame_pack, refuse_wrong_pack
from p2pupd.install.interface import BootControl, OldImage, WriteProgress
from p2pupd.install.ledger import Nothing, SlotLedger
from p2pupd.install.pair import other
from p2pupd.install.slot_file import WriteJob
from p2pupd.install.slot_guard import refuse_unless_spare
from p2pupd.model.device import BootFacts
from p2pupd.model.release import Image, Release

log = logging.getLogger(__name__)

DIRTY_LIMIT: Final = 16 << 20


class SlotsInstaller:
    """`slots` are the paths of A and B, `ledger` a file in the state directory.

    `tries` is how often the bootloader may boot a new release before it returns by itself;
    `dirty_limit` bounds the written bytes that wait in memory.
    """

    def __init__(
        self,
        slots: Mapping[str, Path],
        boot: BootControl,
        ledger: Path,
        *,
        tries: int = 1,
        dirty_limit: int = DIRTY_LIMIT,
    ) -> None:
        self._slots = slots
        self._boot = boot
        self._ledger = SlotLedger(ledger)
        self._tries = tries
        self._dirty_limit = dirty_limit

    async def boot_facts(self) -> BootFacts:
        return await self._boot.read()

    async def spare_capacity(self) -> tuple[int | None, int | None]:
        facts = await self._boot.read()
        room = await asyncio.to_thread(slot_file.capacity, self._slots[other(facts.booted)])
        return room.size, room.free

    async def running_image(self) -> OldImage:
        facts = await self._boot.read()
        holds = await asyncio.to_thread(self._ledger.holds, facts.booted)
        path = self._slots[facts.booted]
        if isinstance(holds, Image):
            return OldImage(path, holds.length, holds.sha256)
        return OldImage(path)

    async def write(self, release: Release, content: Path, progress: WriteProgress) -> str:
        """As the contract says; `progress` is called on the loop with the bytes written so far.

        When cancelled, it waits until the last write has ended: nobody writes the slot afterwards.
        """
        facts = await self._boot.read()
        if facts.booted != facts.primary:
            raise InstallError(
                f"slot {facts.booted} is running on trial: commit it or roll it back first",
                reason="trial-running",
            )
        spare = other(facts.booted)
        await asyncio.to_thread(refuse_wrong_pack, release.format, content, release.image)
        await self._boot.disarm(keep=facts.booted)
        await asyncio.to_thread(self._ledger.forget, spare)
        log.info("slot.writes slot=%s release=%d", spare, release.release)
        loop, stop = asyncio.get_running_loop(), Event()

        def report(done: int) -> None:
            loop.call_soon_threadsafe(progress, done)

        job = WriteJob(
            length=release.image.length,
            sha256=release.image.sha256,
            dirty_limit=self._dirty_limit,
            progress=report,
            stop=stop,
        )
        running = self._slots[facts.booted]
        await to_the_end(lambda: self._write(spare, running, release, content, job), stop.set)
        await asyncio.to_thread(self._ledger.remember, spare, release.image)
        log.info("slot.written slot=%s bytes=%d", spare, release.image.length)
        return spare

    def _write(
        self, spare: str, running: Path, release: Release, content: Path, job: WriteJob
    ) -> None:
        path = self._slots[spare]
        refuse_unless_spare(path, running)
        slot_file.refuse_too_large(path, job.length)
        with closing(UNPACKERS[release.format](content, release.image)) as chunks:
            try:
                slot_file.write_and_verify(path, chunks, job)
            except InstallError as error:
                if error.reason == slot_file.DIFFERS:
                    blame_pack(release.format, content, release.image)
                raise

    async def arm(self, slot: str) -> None:
        """As the contract says. Raises InstallError also for the slot that runs."""
        facts = await self._boot.read()
        if slot == facts.booted:
            raise InstallError(f"slot {slot} is running; only the spare slot can be tried")
        holds = await asyncio.to_thread(self._ledger.holds, slot)
        if not isinstance(holds, Image):
            raise InstallError(f"slot {slot} holds no complete image", reason="slot-empty")
        await self._boot.arm(slot, self._tries)
        log.info("slot.armed slot=%s tries=%d", slot, self._tries)

    async def commit(self, slot: str) -> None:
        """As the contract says. Raises InstallError unless `slot` runs: only that was proved."""
        facts = await self._boot.read()
        if slot != facts.booted:
            raise InstallError(f"slot {slot} is not running; only what runs can be kept")
        await self._boot.commit(slot)
        log.info("slot.committed slot=%s", slot)

    async def roll_back(self, to_slot: str) -> None:
        """As the contract says. Raises InstallError if `to_slot` is known to hold nothing.

        The slot that boots unless another is armed may always come back: it will anyway.
        """
        facts = await self._boot.read()
        holds = await asyncio.to_thread(self._ledger.holds, to_slot)
        if isinstance(holds, Nothing) and to_slot not in (facts.booted, facts.primary):
            raise InstallError(
                f"slot {to_slot} holds no complete image to return to", reason="slot-empty"
            )
        await self._boot.disarm(keep=to_slot)
        log.info("slot.rolled_back to=%s", to_slot)
