"""What this device says about itself on the floor, gathered from everywhere. Reads, never changes.

Text that comes from outside is clipped to what a record takes, and lists to their first entries.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from p2pupd import __version__
from p2pupd.engine.accounting import Accounts
from p2pupd.engine.fleet_settings import FleetSettings
from p2pupd.engine.loop import Engine
from p2pupd.engine.parts import Parts
from p2pupd.engine.settings import DeviceSettings
from p2pupd.errors import UpdateError
from p2pupd.model.deployment import Deployment, Phase
from p2pupd.model.device import ByteCounts
from p2pupd.model.fleet import (
    HOLD_CHARS,
    ComponentState,
    DeploymentState,
    Halt,
    Link,
    StatusRecord,
    Update,
)
from p2pupd.model.ids import ComponentId
from p2pupd.model.release import Release
from p2pupd.store.interface import StoredObject
from p2pupd.wire import records as wire
from p2pupd.wire.records import clipped

TOLD: Final = (Phase.CONFIRMED, Phase.REVERTED, Phase.FAILED)
ALSO_TOLD: Final = (Phase.REFUSED, Phase.CANCELLED)
"""Ends that are told where there is room; what was superseded says nothing."""
LOOK_BACK: Final = 40
PROGRESS_STEPS: Final = 5
"""Progress is told in so many steps at most."""
PROGRESS_NEWS: Final = 64
"""Steps that a device hears of from all others together while a release moves, at most."""


@dataclass(frozen=True, slots=True)
class Describer:
    """`links` are the addresses in use, `port` the peer API's, `beat` how long this device may
    keep silent, `known` how many devices it knows."""

    engine: Engine
    parts: Parts
    device: DeviceSettings
    fleet: FleetSettings
    accounts: Accounts
    links: Callable[[], Iterable[Link]]
    port: Callable[[], int]
    beat: Callable[[], float]
    known: Callable[[], int]

    async def content(self) -> StatusRecord:
        """The record of now, without its number. Raises UpdateError when the disk fails."""
        await self.engine.ready.wait()
        stored = await asyncio.to_thread(self.parts.store.objects)
        usage = await asyncio.to_thread(self.parts.store.usage)
        ended = await asyncio.to_thread(self.parts.journal.deployments, LOOK_BACK)
        return StatusRecord(
            device=self.parts.device,
            realm=self.parts.verifier.realm,
            site=self.fleet.site,
            epoch=0,
            sequence=0,
            news=0,
            at=max(0, int(self.parts.clock().now)),
            beat=int(self.beat()),
            role=self.device.role,
            version=clipped(__version__, wire.VERSION_BYTES),
            model=self.fleet.model,
            hardware_ids=_names(self.device.hardware, wire.MAX_HARDWARE),
            groups=self.fleet.groups,
            port=self.port(),
            links=tuple(self.links())[: wire.MAX_LINKS],
            components=await self._components(),
            deployment=self._deployment(),
            history=_history(ended, self.engine.handlers.turns.resumed),
            holds=_holds(stored, self.engine),
            halts=self._halts(),
            counts=self._counts(stored),
            store_free=usage.free,
        )

    async def _components(self) -> tuple[ComponentState, ...]:
        """None where the slots cannot be read just now: the rest still counts."""
        try:
            holds = await self.engine.handlers.installed()
        except UpdateError:
            return ()
        if holds is None:
            return ()
        version = clipped(holds.version, wire.VERSION_BYTES)
        return (ComponentState(holds.component, version, holds.release),)

    def _deployment(self) -> DeploymentState | None:
        record = self.engine.records.latest
        if record is None or record.release is None or record.phase.ended:
            return None
        return DeploymentState(
            record.release.component,
            clipped(record.release.version, wire.VERSION_BYTES),
            record.release.release,
            phase=record.phase,
            since=max(0, int(record.changed)),
            done=self._done(record, record.release),
            length=record.release.artifact.length,
            reason=clipped(record.reason, wire.REASON_BYTES),
            ticket=self.engine.handlers.turns.ticket(
                record.release.component, record.release.release
            ),
        )

    def _done(self, record: Deployment, release: Release) -> int:
        length, done = release.artifact.length, 0
        if record.phase is Phase.INSTALLING:
            done = self.engine.handlers.written.get(record.id, 0)
        elif record.phase is Phase.FETCHING:
            for each in self.engine.content.transfers():
                if each.release == release:
                    done = each.progress.done
        steps = max(1, min(PROGRESS_STEPS, PROGRESS_NEWS // max(1, self.known())))
        return min(done, length) * steps // max(length, 1) * length // steps

    def _halts(self) -> tuple[Halt, ...]:
        return self.engine.handlers.turns.halts()

    def _counts(self, stored: Iterable[StoredObject]) -> ByteCounts:
        moved = [each.release.artifact for each in self.engine.content.transfers()]
        return self.accounts.total([each.artifact for each in stored], moved)


def _names(texts: Iterable[str], most: int) -> tuple[str, ...]:
    return tuple(clipped(each, wire.NAME_BYTES) for each in texts)[:most]


def _history(
    deployments: Iterable[Deployment], resumed: Callable[[ComponentId, int], int]
) -> tuple[Update, ...]:
    """The newest ends, those that say how a release did before all others."""
    known = [each for each in deployments if each.release is not None]
    chosen = [each for each in known if each.phase in TOLD][: wire.MAX_HISTORY]
    room = wire.MAX_HISTORY - len(chosen)
    chosen += [each for each in known if each.phase in ALSO_TOLD][:room]
    chosen.sort(key=lambda each: int(each.id), reverse=True)
    return tuple(
        _update(each, each.release, resumed) for each in chosen if each.release is not None
    )


def _update(
    record: Deployment, release: Release, resumed: Callable[[ComponentId, int], int]
) -> Update:
    return Update(
        release.component,
        clipped(release.version, wire.VERSION_BYTES),
        release.release,
        phase=record.phase,
        at=max(0, int(record.changed)),
        reason=clipped(record.reason, wire.REASON_BYTES),
        detail=clipped(record.detail, wire.DETAIL_BYTES),
        resumed=resumed(release.component, release.release),
    )


def _holds(stored: Iterable[StoredObject], engine: Engine) -> tuple[str, ...]:
    """What the manifest names first."""
    named = (
        {each.artifact.sha256 for each in engine.manifest.releases} if engine.manifest else set()
    )
    complete = [each.artifact.sha256 for each in stored if each.verified]
    complete.sort(key=lambda sha256: (sha256 not in named, sha256))
    return tuple(each[:HOLD_CHARS] for each in complete[: wire.MAX_HOLDS])
