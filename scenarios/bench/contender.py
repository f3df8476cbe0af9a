"""What takes part in a measurement."""

from typing import Protocol

from scenarios.bench.course import Course, Result


class Contender(Protocol):
    """Something that brings an image from one host to many."""

    @property
    def name(self) -> str:
        """As on the command line."""

    def missing(self) -> str | None:
        """What this machine lacks for it, or None."""

    async def contest(self, course: Course) -> Result:
        """Run the course once. Raises BenchError when that did not come to its end."""
