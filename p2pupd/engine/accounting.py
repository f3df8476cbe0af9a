"""Where payload came from and where it went, artifact by artifact and in all."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from p2pupd.model.device import ByteCounts
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact

SOURCES: Final = ("lan", "uplink", "usb", "reuse")
SINCE_START: Final = ("received", "sent", "wasted")


@dataclass(slots=True)
class _Account:
    """`most` is what was counted at most; `gone`: what is here of it was removed since then."""

    most: ByteCounts = field(default_factory=ByteCounts)
    gone: bool = False


class Accounts:
    """Adds what the peer API sent to what the content's own ways count.

    The totals never fall: a removed artifact stays counted, and counts anew when it comes again.
    """

    def __init__(
        self, counts: Callable[[Artifact], ByteCounts], handed_out: Callable[[Sha256], int]
    ) -> None:
        """`handed_out` tells the bytes of an artifact that the peer API sent since the start."""
        self._counts = counts
        self._handed_out = handed_out
        self._known: dict[Sha256, _Account] = {}
        self._before = ByteCounts()

    def of(self, artifact: Artifact) -> ByteCounts:
        """The counts of one artifact."""
        counts = self._counts(artifact)
        return replace(counts, sent=counts.sent + self._handed_out(artifact.sha256))

    def total(self, stored: Collection[Artifact], moved: Iterable[Artifact]) -> ByteCounts:
        """Of all artifacts ever seen here: those in the store now, and those that were moved since
        the start."""
        here = {each.sha256 for each in stored}
        for sha256, account in self._known.items():
            account.gone = account.gone or sha256 not in here
        for artifact in {each.sha256: each for each in (*moved, *stored)}.values():
            self._look_at(artifact, here=artifact.sha256 in here)
        whole = self._before
        for account in self._known.values():
            whole = _each(lambda a, b: a + b, whole, account.most)
        return whole

    def _look_at(self, artifact: Artifact, *, here: bool) -> None:
        account = self._known.setdefault(artifact.sha256, _Account())
        if account.gone and here:
            self._before = _each(lambda a, b: a + b, self._before, _sources_of(account.most))
            account.most = replace(account.most, **dict.fromkeys(SOURCES, 0))
            account.gone = False
        account.most = _each(max, account.most, self.of(artifact))


def _sources_of(counts: ByteCounts) -> ByteCounts:
    return replace(counts, **dict.fromkeys(SINCE_START, 0))


def _each(join: Callable[[int, int], int], one: ByteCounts, other: ByteCounts) -> ByteCounts:
    names = (*SOURCES, *SINCE_START)
    return ByteCounts(**{name: join(getattr(one, name), getattr(other, name)) for name in names})
