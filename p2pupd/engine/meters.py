"""Reads every meter of this device, for the metrics. Reads, never changes."""

import asyncio
from typing import Any

from p2pupd import __version__
from p2pupd.engine.accounting import Accounts
from p2pupd.engine.fleet import Fleet
from p2pupd.engine.handlers import Handlers
from p2pupd.engine.parts import Parts
from p2pupd.errors import UpdateError
from p2pupd.model.deployment import ENDED, Phase
from p2pupd.model.device import Origin
from p2pupd.model.metrics import Reading, ReuseReading, UplinkReading

Json = dict[str, Any]


async def reading(
    parts: Parts,
    handlers: Handlers,
    accounts: Accounts,
    *,
    peers: int,
    moving: bool,
    uplink: Json | None,
    fleet: Fleet,
) -> Reading:
    """The figures of now. Raises UpdateError when the store or the journal cannot be read."""
    usage = await asyncio.to_thread(parts.store.usage)
    outcomes = await asyncio.to_thread(parts.journal.outcomes)
    stored = await asyncio.to_thread(parts.store.objects)
    moved = [each.release.artifact for each in handlers.content.transfers()]
    confirmed = outcomes.get(Phase.CONFIRMED)
    return Reading(
        version=__version__,
        payload=accounts.total([each.artifact for each in stored], moved),
        peers=peers,
        deployments={
            str(phase): outcomes[phase].number if phase in outcomes else 0 for phase in ENDED
        },
        last_success=confirmed.last if confirmed else None,
        installed=await _installed(handlers),
        fleet=fleet.states(),
        fleet_dropped=dict(fleet.sync.dropped),
        store_used=usage.used,
        store_free=usage.free,
        store_quota=usage.quota,
        moving=moving,
        uplink=UplinkReading(uplink["available"], uplink["month_bytes"]) if uplink else None,
        reuse=_reuse(handlers),
    )


def _reuse(handlers: Handlers) -> ReuseReading:
    told = [each.reuse for each in handlers.content.transfers() if each.reuse]
    return ReuseReading(
        {origin: sum(each.expected[origin] for each in told) for origin in Origin},
        {origin: sum(each.real[origin] for each in told) for origin in Origin},
    )


async def _installed(handlers: Handlers) -> dict[str, int]:
    """Nothing where the slots cannot be read just now: the other figures still count."""
    try:
        holds = await handlers.installed()
    except UpdateError:
        return {}
    return {holds.component: holds.release} if holds else {}
