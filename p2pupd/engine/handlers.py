"""Carries out commands: one coroutine each, I/O without decisions, the result as an event."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from p2pupd.core.lifecycle import LEFT
from p2pupd.engine.content import Content
from p2pupd.engine.messages import BundleBelieved
from p2pupd.engine.parts import InstallPart, Parts
from p2pupd.engine.settings import DeviceSettings
from p2pupd.engine.transfers import Note
from p2pupd.engine.turns import Turns
from p2pupd.errors import ContentError, HostError, InstallError, TrustError
from p2pupd.feeds.interface import Offer
from p2pupd.model import commands as do
from p2pupd.model import events as on
from p2pupd.model.deployment import Deployment, Phase
from p2pupd.model.device import BootFacts, DeviceFacts, Installed
from p2pupd.model.ids import DeploymentId
from p2pupd.model.release import Release

log = logging.getLogger(__name__)

Result = on.Event | BundleBelieved | None


class Handlers:
    """Given a record and its command, do it. Expected failures leave as UpdateError."""

    def __init__(
        self,
        parts: Parts,
        settings: DeviceSettings,
        content: Content,
        copying: Callable[[], bool],
        *,
        look_again: Callable[[], None],
        note: Note,
    ) -> None:
        """`copying` tells whether a stick is being copied just now; `look_again` has closed gates
        asked again."""
        self._parts = parts
        self.turns = Turns(
            parts, consent=settings.consent, copying=copying, look_again=look_again, note=note
        )
        self._settings = settings
        self.content = content
        self.offers: dict[DeploymentId, Offer] = {}
        self.written: dict[DeploymentId, int] = {}
        self._by_command: dict[type[do.Command], Callable[[Deployment, Any], Awaitable[Result]]] = {
            do.VerifyOffer: self._verify_offer,
            do.GatherFacts: self._gather_facts,
            do.Fetch: self._fetch,
            do.AskTurn: self._ask_turn,
            do.WriteSlot: self._write_slot,
            do.ArmTrial: self._arm_trial,
            do.Reboot: self._reboot,
            do.ReadBoot: self._read_boot,
            do.Probe: self._probe,
            do.Commit: self._commit,
            do.RollBack: self._roll_back,
        }

    async def carry_out(self, record: Deployment, command: do.Command) -> Result:
        """The event that came of it. Raises UpdateError where it could not be done."""
        return await self._by_command[type(command)](record, command)

    async def facts(self) -> DeviceFacts:
        """What admission decides from, now."""
        install = self._parts.install
        capacity, free = (
            (None, None) if install is None else await install.installer.spare_capacity()
        )
        usage = await asyncio.to_thread(self._parts.store.usage)
        objects = await asyncio.to_thread(self._parts.store.objects)
        bad = await self.bad()
        component = install.component if install else None
        here = [(which, why) for which, why in bad.items() if which[0] == component]
        return DeviceFacts(
            hardware_ids=self._settings.hardware,
            component=component,
            installer=install.kind if install else None,
            line=install.line if install else "",
            installed=await self.installed(),
            bad=frozenset(bad),
            left=max((which[1] for which, why in here if why == LEFT), default=-1),
            approved=self.turns.approved,
            store_free=usage.free,
            stored=frozenset(each.artifact.sha256 for each in objects if each.verified),
            spare_capacity=capacity,
            spare_free=free,
            power_ok=self._parts.power_ok(),
        )

    async def bad(self) -> dict[tuple[str, int], str]:
        """{(component, release): why} of what failed here and is not tried again."""
        found = await asyncio.to_thread(self._parts.journal.bad_releases)
        forgiven = self.turns.forgiven
        return {which: why for which, why in found.items() if not forgiven(*which)}

    async def installed(self) -> Installed | None:
        """The release in the slot that runs now; the factory's before the first update."""
        install, facts = self._parts.install, await self.boot_facts()
        if install is None or facts is None:
            return None
        slots = await asyncio.to_thread(self._parts.journal.slots)
        known = slots.get(facts.booted)
        if known is not None:
            return known
        settings = self._settings
        return Installed(install.component, settings.factory_version, settings.factory_release, "")

    async def boot_facts(self) -> BootFacts | None:
        """What the boot environment says; None where nothing is installed here."""
        install = self._parts.install
        return None if install is None else await install.installer.boot_facts()

    async def _verify_offer(self, record: Deployment, _: do.Command) -> Result:
        offer = self.offers[record.id]
        now = self._parts.clock()
        try:
            manifest = await asyncio.to_thread(self._parts.verifier.accept, offer.bundle, now)
        except TrustError as error:
            return on.OfferRejected(record.id, error.reason, str(error), error.code)
        return BundleBelieved(record.id, manifest)

    async def _gather_facts(self, record: Deployment, _: do.Command) -> Result:
        return on.FactsGathered(record.id, await self.facts())

    async def _fetch(self, record: Deployment, _: do.Command) -> Result:
        await self.content.ensure(_release(record))
        return on.Fetched(record.id)

    async def _ask_turn(self, record: Deployment, _: do.Command) -> Result:
        gates = await self.turns.ask(record, _release(record))
        if not gates:
            return on.TurnTaken(record.id)
        return on.TurnHeld(record.id, gates[0].reason, gates[0].detail)

    async def _write_slot(self, record: Deployment, _: do.Command) -> Result:
        release = _release(record)
        await self.turns.began(release)
        journal = self._parts.journal
        installer = self._installer().installer
        before = await installer.boot_facts()
        spare = "B" if before.booted == "A" else "A"
        await asyncio.to_thread(journal.set_slot, spare, None)
        directory = await self._sound(release)

        def written(done: int) -> None:
            self.written[record.id] = done

        content = directory / release.artifact.pieces_root
        slot = await installer.write(release, content, written)
        holds = Installed(
            release.component,
            release.version,
            release.release,
            release.image.sha256,
            release.security_floor,
        )
        await asyncio.to_thread(journal.set_slot, slot, holds)
        return on.Written(record.id, slot, before.booted)

    async def _sound(self, release: Release) -> Path:
        """The artifact's directory in the store. What rotted there is brought once more: that is
        the disk's fault, and the release must not be blamed for it."""
        verify = self._parts.store.verify
        try:
            return await asyncio.to_thread(verify, release.artifact)
        except ContentError as error:
            log.error("store.rotten release=%s error=%s", release.label, error)
        await self._parts.swarm.drop(release.artifact)
        await self.content.ensure(release)
        return await asyncio.to_thread(verify, release.artifact)

    async def _arm_trial(self, record: Deployment, _: do.Command) -> Result:
        await self._installer().installer.arm(_slot(record.slot))
        return await self._booted(record)

    async def _reboot(self, record: Deployment, command: do.Command) -> Result:
        if record.phase is Phase.ARMED:
            halted = await self.turns.restarting(_release(record))
            if halted is not None:
                return on.Halted(record.id, halted.detail)
        log.info("device.reboots id=%s attempt=%d", command.deployment, command.attempt)
        await self._parts.reboot()
        raise HostError("the device did not restart; see device.reboot_command", reason="reboot")

    async def _read_boot(self, record: Deployment, _: do.Command) -> Result:
        return await self._booted(record)

    async def _probe(self, record: Deployment, _: do.Command) -> Result:
        result = await self._parts.probe()
        if result.ok:
            return on.HealthPassed(record.id)
        return on.HealthFailed(record.id, "unhealthy", result.detail)

    async def _commit(self, record: Deployment, _: do.Command) -> Result:
        await self._installer().installer.commit(_slot(record.slot))
        return on.Committed(record.id)

    async def _roll_back(self, record: Deployment, _: do.Command) -> Result:
        await self._installer().installer.roll_back(_slot(record.previous_slot))
        return await self._booted(record)

    async def _booted(self, record: Deployment) -> on.Booted:
        facts: BootFacts = await self._installer().installer.boot_facts()
        return on.Booted(record.id, facts)

    def _installer(self) -> InstallPart:
        if self._parts.install is None:
            raise InstallError("no installer is configured on this device; set [install]")
        return self._parts.install


def _release(record: Deployment) -> Release:
    if record.release is None:
        raise InstallError(
            f"deployment {record.id} has no release; the journal was changed by hand"
        )
    return record.release


def _slot(name: str | None) -> str:
    if name is None:
        raise InstallError("the journal names no slot; it was changed by hand")
    return name
