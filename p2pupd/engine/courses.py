"""What this device remembers of rollouts, and its operator's consent, as a file that outlives the
daemon."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from p2pupd.core.course import Course
from p2pupd.errors import HostError
from p2pupd.host.files import read_bounded, write_durably

FILE: Final = "rollouts.json"
LONGEST_FILE: Final = 64 * 1024
MOST: Final = 16
"""Releases that are remembered, the newest."""

log = logging.getLogger(__name__)
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Consents:
    """The releases that the operator allowed here, and those of them out of their turn."""

    approved: frozenset[int] = frozenset()
    ahead: frozenset[int] = frozenset()


class CourseFile:
    """In the state directory `directory`. Every method blocks."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE

    def load(self) -> tuple[dict[Key, Course], Consents]:
        """What was saved. From a file that says nothing, nothing: evidence of a floor is heard
        again, and so is a halt."""
        if not self._path.exists():
            return {}, Consents()
        try:
            said = json.loads(read_bounded(self._path, LONGEST_FILE))
            courses = [_course(each) for each in said["rollouts"]]
            consents = Consents(
                frozenset(map(int, said["approved"])), frozenset(map(int, said["ahead"]))
            )
        except (HostError, ValueError, TypeError, KeyError, RecursionError) as error:
            log.warning("rollouts.unreadable path=%s error=%s", self._path, error)
            return {}, Consents()
        return {(each.component, each.release): each for each in courses}, consents

    def save(self, courses: dict[Key, Course], consents: Consents) -> None:
        """Durable on return. Raises HostError or SpaceError."""
        kept = sorted(courses.values(), key=lambda each: each.release)[-MOST:]
        said = {
            "rollouts": [_fields(each) for each in kept],
            "approved": sorted(consents.approved)[-MOST:],
            "ahead": sorted(consents.ahead)[-MOST:],
        }
        write_durably(self._path, json.dumps(said).encode())


def _fields(course: Course) -> dict[str, Any]:
    return {
        "component": course.component,
        "release": course.release,
        "succeeded": {str(stage): at for stage, at in course.succeeded.items()},
        "halted": course.halted,
        "resumed": course.resumed,
        "deferrals": course.deferrals,
        "deferred": course.deferred,
    }


def _course(said: dict[str, Any]) -> Course:
    halted = said["halted"]
    return Course(
        component=str(said["component"]),
        release=int(said["release"]),
        succeeded=MappingProxyType({int(k): float(at) for k, at in said["succeeded"].items()}),
        halted=None if halted is None else int(halted),
        resumed=int(said["resumed"]),
        deferrals=int(said["deferrals"]),
        deferred=float(said["deferred"]),
    )
