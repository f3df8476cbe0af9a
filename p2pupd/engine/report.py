"""What `p2pupd status` shows: one JSON-ready picture of this device. Reads, never changes."""

import asyncio
from collections.abc import Mapping
from typing import Any

from p2pupd import __version__
from p2pupd.engine.accounting import Accounts
from p2pupd.engine.content import Content
from p2pupd.engine.handlers import Handlers
from p2pupd.engine.parts import Parts
from p2pupd.engine.records import Records
from p2pupd.engine.settings import DeviceSettings
from p2pupd.engine.transfers import Transfer, TransferState
from p2pupd.errors import UpdateError
from p2pupd.model.deployment import Deployment, Phase
from p2pupd.model.device import ByteCounts, Installed, Origin
from p2pupd.model.release import Manifest, Release
from p2pupd.store.interface import StoredObject

Json = dict[str, Any]


async def report(
    parts: Parts,
    settings: DeviceSettings,
    handlers: Handlers,
    manifest: Manifest | None,
    records: Records,
    *,
    accounts: Accounts,
) -> Json:
    """The picture of now. Lengths and counts are bytes, times are Unix seconds."""
    content = handlers.content
    usage = await asyncio.to_thread(parts.store.usage)
    stored = await asyncio.to_thread(parts.store.objects)
    slots = await asyncio.to_thread(parts.journal.slots)
    bad = await handlers.bad()
    return {
        "device": parts.device,
        "version": __version__,
        "role": str(settings.role),
        "realm": parts.verifier.realm,
        "manifest": _manifest(manifest),
        "installed": await _installed(handlers),
        "slots": {name: _release_of(holds) for name, holds in slots.items()},
        "deployment": _deployment(records.latest, handlers, content),
        "refused": _refused(records.refused),
        "transfers": [_transfer(each, accounts) for each in content.transfers()],
        "stored": [_stored(each, manifest, accounts) for each in stored],
        "store": {"used": usage.used, "free": usage.free, "quota": usage.quota},
        "bad": [
            {"component": component, "release": release, "reason": reason}
            for (component, release), reason in bad.items()
        ],
    }


def _release(release: Release) -> Json:
    return {
        "component": release.component,
        "version": release.version,
        "release": release.release,
        "hardware": list(release.hardware_ids),
        "length": release.artifact.length,
    }


def _release_of(holds: Installed | None) -> Json | None:
    if holds is None:
        return None
    return {"component": holds.component, "version": holds.version, "release": holds.release}


def _manifest(manifest: Manifest | None) -> Json | None:
    if manifest is None:
        return None
    return {
        "digest": manifest.digest,
        "timestamp_version": manifest.timestamp_version,
        "issued": manifest.issued,
        "expires": manifest.expires,
        "warnings": list(manifest.warnings),
        "releases": [_release(each) for each in manifest.releases],
    }


async def _installed(handlers: Handlers) -> Json | None:
    try:
        facts = await handlers.boot_facts()
        holds = await handlers.installed()
    except UpdateError as error:
        return {"error": str(error)}
    if holds is None or facts is None:
        return None
    return (_release_of(holds) or {}) | {"slot": facts.booted, "primary": facts.primary}


def _deployment(latest: Deployment | None, handlers: Handlers, content: Content) -> Json | None:
    if latest is None:
        return None
    picture: Json = {
        "id": latest.id,
        "phase": str(latest.phase),
        "source": latest.source,
        "release": _release(latest.release) if latest.release else None,
        "attempt": latest.attempt,
        "reason": latest.reason,
        "detail": latest.detail,
        "code": latest.code,
        "started": latest.started,
        "changed": latest.changed,
    }
    if latest.release is not None:
        done = 0
        if latest.phase is Phase.INSTALLING:
            done = handlers.written.get(latest.id, 0)
        for each in content.transfers():
            if latest.phase is Phase.FETCHING and each.release == latest.release:
                done = each.progress.done
        length = latest.release.artifact.length
        if latest.phase is Phase.INSTALLING:
            length = latest.release.image.length
        picture["progress"] = {"done": done, "length": length}
    return picture


def _refused(offer: Deployment | None) -> Json | None:
    if offer is None:
        return None
    return {
        "source": offer.source,
        "reason": offer.reason,
        "detail": offer.detail,
        "code": offer.code,
        "changed": offer.changed,
    }


def _transfer(transfer: Transfer, accounts: Accounts) -> Json:
    artifact = transfer.release.artifact
    errors = [transfer.error] if transfer.error else list(transfer.refused.values())
    if transfer.state is TransferState.COMPLETE:
        errors = []
    return {
        **_release(transfer.release),
        "sha256": artifact.sha256,
        "state": str(transfer.state),
        "source": transfer.source,
        "done": transfer.progress.done,
        "peers": transfer.progress.peers,
        "rate": transfer.meter.rate(asyncio.get_running_loop().time()),
        "reason": errors[-1].reason if errors else "",
        "detail": str(errors[-1]) if errors else "",
        "bytes": _bytes(accounts.of(artifact)),
        "reuse": _reuse(transfer),
    }


def _reuse(transfer: Transfer) -> Json | None:
    """Bytes of the pack that are expected from, and really came from, the store, the slot (and
    other old images) and the swarm, with everything else that brings; None where nothing older is
    here."""
    told = transfer.reuse
    if told is None:
        return None
    return {
        "stage": str(told.stage),
        "done": told.done,
        "length": told.length,
        "expected": _shares(told.expected, transfer.release.artifact.length),
        "real": _shares(told.real, transfer.progress.done),
    }


def _shares(made: Mapping[Origin, int], whole: int) -> Json:
    rest = whole - sum(made.values())
    return {str(origin): count for origin, count in made.items()} | {"swarm": max(0, rest)}


def _stored(stored: StoredObject, manifest: Manifest | None, accounts: Accounts) -> Json:
    """`release` is None where the manifest does not name it any more."""
    artifact = stored.artifact
    named = (each for each in manifest.releases if each.artifact == artifact) if manifest else ()
    release = next(iter(named), None)
    return {
        "sha256": artifact.sha256,
        "length": artifact.length,
        "verified": stored.verified,
        "release": _release(release) if release else None,
        "bytes": _bytes(accounts.of(artifact)),
    }


def _bytes(counts: ByteCounts) -> Json:
    return {
        "lan": counts.lan,
        "usb": counts.usb,
        "uplink": counts.uplink,
        "reuse": counts.reuse,
        "sent": counts.sent,
        "wasted": counts.wasted,
    }
