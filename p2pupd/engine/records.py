"""The deployments under way: a record counts once it is journaled, not before."""

import asyncio
import logging

from p2pupd.core import recovery
from p2pupd.core.backoff import delay
from p2pupd.errors import UpdateError
from p2pupd.journal.interface import Journal
from p2pupd.model.deployment import Deployment, Phase
from p2pupd.model.ids import DeploymentId, ManifestDigest

log = logging.getLogger(__name__)

LOOK_BACK = 1000
"""Deployments of before the start among which the one to show is found."""


class Records:
    """Written by the engine's loop only.

    `latest` is the one that people are shown; `refused` the newest offer that was refused before
    it named a release, unless a release came after it.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: dict[DeploymentId, Deployment] = {}
        self.latest: Deployment | None = None
        self.refused: Deployment | None = None
        self.waiting = False
        """The disk does not take a record just now."""

    async def load(self) -> tuple[Deployment, ...]:
        """Those that had not ended before the start, oldest first."""
        for record in reversed(await asyncio.to_thread(self._journal.deployments, LOOK_BACK)):
            self._show(record)
        return await asyncio.to_thread(self._journal.open_deployments)

    def get(self, deployment: DeploymentId) -> Deployment | None:
        """The record as it was journaled last; None for one that has ended."""
        return self._known.get(deployment)

    def open(self) -> list[Deployment]:
        """All that have not ended."""
        return [each for each in self._known.values() if not each.phase.ended]

    def installing(self, apart_from: DeploymentId) -> list[Deployment]:
        """The open ones that know their release, but for one."""
        return [each for each in self.open() if each.id != apart_from and each.release]

    async def new(self, source: str, digest: ManifestDigest, now: float) -> Deployment:
        """A fresh deployment in OFFERED, journaled."""
        number = await asyncio.to_thread(self._journal.next_deployment_id)
        record = Deployment(number, Phase.OFFERED, source, digest, now, now)
        await self.write(record)
        return record

    async def write(self, record: Deployment) -> None:
        """Journal it. Nothing goes on before that, so a disk that is full is waited for."""
        attempt = 0
        while not await self._written(record):
            attempt += 1
            self.waiting = True
            await asyncio.sleep(delay(attempt, 0))
        self.waiting = False
        self._known[record.id] = record
        self._show(record)

    def adopt(self, record: Deployment) -> None:
        """Take up a record that is in the journal already."""
        self._known[record.id] = record

    def forget(self, deployment: DeploymentId) -> None:
        """It has ended; the journal keeps it."""
        self._known.pop(deployment, None)

    def _show(self, record: Deployment) -> None:
        self.latest = shown(self.latest, record)
        if record.release is None and record.phase in (Phase.REFUSED, Phase.FAILED):
            self.refused = record
        elif record.release is not None and self.refused and record.id > self.refused.id:
            self.refused = None

    async def _written(self, record: Deployment) -> bool:
        try:
            await asyncio.to_thread(self._keep, record)
        except UpdateError as error:
            log.error("journal.waits reason=%s error=%s", error.reason, error)
            return False
        return True

    def _keep(self, record: Deployment) -> None:
        """A bad release is remembered before its deployment ends: a power cut in between must not
        let it come again."""
        release = record.release
        if release is not None and recovery.proved_bad(record):
            self._journal.mark_bad(
                release.component, release.release, record.reason, record.changed
            )
        self._journal.record(record)


def shown(current: Deployment | None, record: Deployment) -> Deployment:
    """The deployment to show once `record` was journaled, where `current` was shown before.

    An offer that comes to nothing hides neither a release that is under way nor what became of
    the last one.
    """
    if current is None or current.release is None or record.release is not None:
        return record
    return current
