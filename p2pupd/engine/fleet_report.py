"""What `p2pupd fleet` shows: everything that is known of the floor, ready for JSON."""

from collections.abc import Iterable
from typing import Any, Final

from p2pupd.core.copies import Copies
from p2pupd.model.fleet import DeploymentState, Seen, Standing, Update, View
from p2pupd.model.ids import DeviceId

Json = dict[str, Any]
STATES: Final = ("here", "now", "heard", "silent")
COUNTS: Final = ("lan", "uplink", "usb", "reuse", "sent", "wasted")


def fleet_picture(view: View, neighbours: Iterable[DeviceId], now: float) -> list[Json]:
    """Every device, by its id. Times are Unix seconds, sizes bytes."""
    near = frozenset(neighbours)
    entries = sorted(view.entries.values(), key=lambda seen: seen.record.device)
    return [_device(each, now, each.record.device in near) for each in entries]


def copies_picture(found: Iterable[Copies]) -> list[Json]:
    """How often the site holds each release."""
    return [
        {
            "component": each.release.component,
            "version": each.release.version,
            "release": each.release.release,
            "held": each.held,
            "needed": each.needed,
            "takers": each.takers,
            "enough": each.enough,
        }
        for each in found
    ]


def state_of(seen: Seen, now: float, near: bool) -> str:
    """`here`, `now` (a neighbour that answers), `heard` (others hear it), or `silent`."""
    if seen.standing is Standing.OWN:
        return "here"
    if seen.silent(now):
        return "silent"
    return "now" if near else "heard"


def _device(seen: Seen, now: float, near: bool) -> Json:
    record = seen.record
    counts = {name: getattr(record.counts, name) for name in COUNTS}
    return {
        "id": record.device,
        "state": state_of(seen, now, near),
        "last_sign": seen.last_sign,
        "first": seen.first,
        "standing": str(seen.standing),
        "epoch": record.epoch,
        "sequence": record.sequence,
        "at": record.at,
        "role": str(record.role),
        "version": record.version,
        "model": record.model,
        "hardware": list(record.hardware_ids),
        "groups": list(record.groups),
        "site": record.site,
        "port": record.port,
        "links": [{"name": each.name, "address": each.address} for each in record.links],
        "components": [
            {"component": each.component, "version": each.version, "release": each.release}
            for each in record.components
        ],
        "deployment": _deployment(record.deployment),
        "history": [_update(each) for each in record.history],
        "halts": [
            {"component": each.component, "release": each.release, "resumed": each.resumed}
            for each in record.halts
        ],
        "holds": list(record.holds),
        "bytes": counts,
        "store_free": record.store_free,
    }


def _deployment(state: DeploymentState | None) -> Json | None:
    if state is None:
        return None
    return {
        "component": state.component,
        "version": state.version,
        "release": state.release,
        "phase": str(state.phase),
        "since": state.since,
        "done": state.done,
        "length": state.length,
        "reason": state.reason,
        "ticket": state.ticket,
    }


def _update(update: Update) -> Json:
    return {
        "component": update.component,
        "version": update.version,
        "release": update.release,
        "phase": str(update.phase),
        "at": update.at,
        "reason": update.reason,
        "detail": update.detail,
        "resumed": update.resumed,
    }
