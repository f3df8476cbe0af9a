"""`p2pupd why`: every gate that is closed, for this device or another one, as JSON."""

from typing import Any

from p2pupd.core import admission
from p2pupd.core.admission import Refusal
from p2pupd.core.showing import newest_for
from p2pupd.core.tally import Evidence, evidence
from p2pupd.core.turn import Gate
from p2pupd.core.waves import place, stage_name, stage_of, staged
from p2pupd.engine.loop import Engine
from p2pupd.engine.parts import Parts
from p2pupd.errors import UsageError
from p2pupd.model.deployment import Deployment, Phase
from p2pupd.model.fleet import Seen, StatusRecord
from p2pupd.model.release import Release

Json = dict[str, Any]
ASKS: frozenset[Phase] = frozenset({Phase.READY, Phase.WAITING})
SHORTEST_PREFIX = 4


async def explain(engine: Engine, parts: Parts, device: str | None) -> Json:
    """Why the device (a prefix of its id; None is this one) does not run what it should.

    Raises UsageError for a device that was not heard of, or a prefix of several.
    """
    if device is None or (len(device) >= SHORTEST_PREFIX and parts.device.startswith(device)):
        return await _own(engine, parts)
    return _other(engine, parts, _find(parts, device))


async def _own(engine: Engine, parts: Parts) -> Json:
    doing = next((each for each in engine.records.open() if each.release), None)
    if doing is not None and doing.release is not None:
        gates = await _under_way(engine, doing, doing.release)
        return _picture(parts.device, parts.site.groups, doing.release, str(doing.phase), gates)
    release = _newest(engine, parts)
    gates = await _at_rest(engine, release)
    return _picture(parts.device, parts.site.groups, release, "", gates)


async def _at_rest(engine: Engine, release: Release | None) -> list[Gate]:
    """Why nothing is under way."""
    if engine.manifest is None:
        return [Gate("no-manifest", "no release has been offered to it yet")]
    facts = await engine.handlers.facts()
    choice = admission.choose(engine.manifest.releases, facts)
    refusal = choice if isinstance(choice, Refusal) else admission.refusal(choice, facts)
    if refusal is not None and refusal.code == admission.NOTHING_TO_DO:
        return []
    gates = [] if refusal is None else [Gate(refusal.reason, refusal.detail)]
    return gates if release is None else [*gates, *await engine.handlers.turns.gates(release)]


async def _under_way(engine: Engine, doing: Deployment, release: Release) -> list[Gate]:
    if doing.phase is Phase.ARMED:
        return list(await engine.handlers.turns.locked())
    if doing.phase in (Phase.INSTALLING, Phase.TRIAL, Phase.REVERTING):
        return []
    gates = list(await engine.handlers.turns.gates(release))
    if doing.phase not in ASKS:
        gates.insert(0, Gate("fetching", "does not have all of it yet; `p2pupd status` shows more"))
    return gates


def _newest(engine: Engine, parts: Parts) -> Release | None:
    """The highest release for what this device installs."""
    releases = engine.manifest.releases if engine.manifest else ()
    component = parts.install.component if parts.install else None
    ours = [each for each in releases if each.component == component]
    return max(ours, key=lambda each: each.release, default=None)


def _find(parts: Parts, device: str) -> Seen:
    entries = parts.view().entries
    found = [each for each in entries if each.startswith(device)]
    if len(device) < SHORTEST_PREFIX or len(found) > 1:
        raise UsageError(f"{device!r} could be several devices; give more of the id")
    if not found:
        raise UsageError(f"no device whose id begins with {device!r} was ever heard of here")
    return entries[found[0]]


def _other(engine: Engine, parts: Parts, seen: Seen) -> Json:
    record, now = seen.record, parts.clock().now
    releases = engine.manifest.releases if engine.manifest else ()
    release = newest_for(record, releases)
    phase = str(record.deployment.phase) if record.deployment else ""
    gates = []
    if seen.silent(now):
        minutes = int((now - seen.last_sign) // 60)
        gates.append(Gate("silent", f"was not heard for {minutes} minute(s)"))
    if release is not None:
        gates += _floor(engine, record, release)
    return _picture(record.device, record.groups, release, phase, gates)


def _floor(engine: Engine, record: StatusRecord, release: Release) -> list[Gate]:
    """What the signed policy, the orders and the records say; and its own word for the rest."""
    turns = engine.handlers.turns
    what = evidence(record, release, turns.tally(release).resumed)
    if what in (Evidence.CONFIRMED, Evidence.OUTSIDE):
        return []
    gates = []
    if what is Evidence.FAILED:
        ended = record.last_result
        said = f": {ended.reason}: {ended.detail}" if ended else ""
        gates.append(Gate("failed", f"release {release.release} failed there{said}"))
    gates += turns.gates_of(record, release)
    own = record.deployment.reason if record.deployment else ""
    if own and own not in {gate.reason for gate in gates}:
        gates.append(Gate(own, "so it says itself; `p2pupd why` on that device says more"))
    return gates


def _picture(
    device: str, groups: tuple[str, ...], release: Release | None, phase: str, gates: list[Gate]
) -> Json:
    known, stage, where = None, None, None
    if release is not None:
        names = ("component", "version", "release")
        known = {name: getattr(release, name) for name in names}
    if release is not None and staged(release.rollout):
        stage = stage_name(release.rollout, stage_of(release, device, groups))
        where = place(device, release.component, release.release)
    return {
        "device": device,
        "release": known,
        "phase": phase,
        "stage": stage,
        "place": where,
        "gates": [
            {"code": gate.reason, "detail": gate.detail, "until": gate.until} for gate in gates
        ],
    }
