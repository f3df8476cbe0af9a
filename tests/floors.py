"""A floor as one device hears it: records of devices in any state of a rollout."""

from dataclasses import replace
from typing import Any

from p2pupd.core.course import Course, observe
from p2pupd.core.orders import NO_ORDERS
from p2pupd.core.tally import Tally
from p2pupd.core.turn import Here, Question, SiteRules
from p2pupd.core.waves import stage_of
from p2pupd.core.windows import LocalTime
from p2pupd.model.deployment import Phase
from p2pupd.model.device import Role
from p2pupd.model.fleet import (
    ComponentState,
    DeploymentState,
    Seen,
    Stamp,
    StatusRecord,
    Update,
)
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.model.release import Release
from p2pupd.model.rollout import Rollout, Wave
from tests.builders import COMPONENT, HARDWARE, a_release

NOW = 1_000_000.0
QUARTERS = Rollout(waves=(Wave(250, 60), Wave(500), Wave(1000)), max_failures=200)
NOON = LocalTime(0, 720)


def device_of(release: Release, stage: int, number: int = 0) -> DeviceId:
    """The `number`th made-up device that belongs to that wave."""
    found = (f"{each:052d}".replace("0", "a").replace("1", "b") for each in range(100_000))
    right = (each for each in found if stage_of(release, each, ()) == stage)
    return DeviceId([next(right) for _ in range(number + 1)][-1])


def record(device: DeviceId, *, runs: int = 6, **changes: Any) -> StatusRecord:
    """A device that runs release `runs`."""
    plain = StatusRecord(
        device=device,
        realm=Realm("0" * 16),
        site="",
        epoch=1,
        sequence=1,
        news=1,
        at=0,
        beat=60,
        role=Role.PEER,
        version="1",
        hardware_ids=(HARDWARE,),
        components=(ComponentState(COMPONENT, f"1.{runs}", runs),),
    )
    return replace(plain, **changes)


def seen(said: StatusRecord, heard: float = NOW) -> Seen:
    return Seen(said, Stamp(said.epoch, said.sequence), b"", heard, heard)


def working(device: DeviceId, release: Release, **changes: Any) -> StatusRecord:
    """It has installed the release, and works."""
    return record(
        device, runs=release.release, history=(ended(release, Phase.CONFIRMED),), **changes
    )


def reverted(device: DeviceId, release: Release, **changes: Any) -> StatusRecord:
    """The release failed its trial there."""
    return record(device, history=(ended(release, Phase.REVERTED, **changes),))


def doing(device: DeviceId, release: Release, phase: Phase, **changes: Any) -> StatusRecord:
    """The release is in that phase there."""
    state = DeploymentState(
        release.component, release.version, release.release, phase, since=0, **changes
    )
    return record(device, deployment=state)


def ended(release: Release, phase: Phase, **changes: Any) -> Update:
    reason = "" if phase is Phase.CONFIRMED else "unhealthy"
    update = Update(release.component, release.version, release.release, phase, 0, reason)
    return replace(update, **changes)


def a_question(release: Release | None = None, *floor: StatusRecord, **changes: Any) -> Question:
    """May a device of the second wave install? `floor` are the others' records."""
    asked = release or a_release(rollout=QUARTERS)
    own = changes.pop("device", device_of(asked, 2) if len(asked.rollout.waves) > 1 else "me")
    tally = changes.pop("tally", None) or Tally(asked, map(seen, (record(own), *floor)))
    now = changes.pop("now", NOW)
    course = changes.pop("course", Course(asked.component, asked.release))
    question = Question(
        release=asked,
        device=own,
        groups=(),
        now=now,
        local=NOON,
        tally=tally,
        course=observe(course, tally, now),
        orders=NO_ORDERS,
        rules=SiteRules(),
        here=Here(listening=3600),
    )
    return replace(question, **changes)
