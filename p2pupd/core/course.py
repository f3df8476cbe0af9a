"""What a device remembers of a rollout: what it has seen succeed, and whether it was halted.

A halt is for good, also when its evidence has gone (a device was replaced, a newcomer joined). A
wave that has succeeded soaks from when that was first seen, and anew if its evidence goes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from p2pupd.core.tally import Tally
from p2pupd.core.waves import earlier_stages, staged
from p2pupd.model.release import Release
from p2pupd.model.rollout import WHOLE


@dataclass(frozen=True, slots=True)
class Course:
    """Of one release on one device. Times are Unix seconds by its own clock.

    `succeeded` is when each stage was first seen as such. `halted` is the sequence of the last
    resume at the moment of the halt, None where there was no halt; `resumed` the same at the moment
    when the device began to install. `deferrals` were asked for until `deferred`.
    """

    component: str
    release: int
    succeeded: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    halted: int | None = None
    resumed: int = 0
    deferrals: int = 0
    deferred: float = 0.0

    def is_halted(self, resumed: int) -> bool:
        """Whether the halt is in force, where `resumed` is the sequence of the last resume."""
        return self.halted is not None and self.halted >= resumed

    def moved(self, seconds: float) -> "Course":
        """The same by a clock that was set by so much."""
        found = {stage: at + seconds for stage, at in self.succeeded.items()}
        return replace(self, succeeded=MappingProxyType(found))


def observe(course: Course, tally: Tally, now: float) -> Course:
    """The course after a look at the floor; the same object where nothing is new."""
    limit = _limit(tally.release)
    found = {
        number: min(course.succeeded.get(number, now), now)
        for number in earlier_stages(tally.release.rollout, len(tally.stages))
        if tally.stages[number].succeeded(limit)
    }
    halted = course.halted
    if not course.is_halted(tally.resumed) and _fails(tally):
        halted = tally.resumed
    if found == course.succeeded and halted == course.halted:
        return course
    return replace(course, succeeded=MappingProxyType(found), halted=halted)


def _fails(tally: Tally) -> bool:
    limit = tally.release.rollout.max_failures
    if tally.halted_by:
        return True
    return limit is not None and any(each.over(limit) for each in tally.stages)


def _limit(release: Release) -> int:
    """Without a limit one device that succeeds is enough."""
    limit = release.rollout.max_failures
    return WHOLE if limit is None else limit


def succeeded_now(tally: Tally, stage: int) -> bool:
    """Whether the stage has succeeded by what is known now."""
    return tally.stages[stage].succeeded(_limit(tally.release))


def worth_remembering(release: Release) -> bool:
    """Whether the release has a policy that looks at other devices."""
    policy = release.rollout
    return staged(policy) or policy.max_failures is not None or policy.max_concurrent is not None
