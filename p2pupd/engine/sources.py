"""Which sticks, directories and uplinks are in, and why one that was there is not taken."""

from typing import Final

from p2pupd.engine.content import Content
from p2pupd.engine.transfers import Note
from p2pupd.feeds.interface import Offer

IN: Final = "in"
REMEMBERED: Final = 32
"""How many are listed; the oldest go first."""


class Sources:
    """What `p2pupd status` lists. Only a believed source is asked for payload bytes."""

    def __init__(self, content: Content, note: Note) -> None:
        self._content = content
        self._note = note
        self._states: dict[str, str] = {}

    def listing(self) -> dict[str, str]:
        """`in`, or `reason: detail`, by name."""
        return dict(self._states)

    def came(self, offer: Offer) -> None:
        """Something with content is there."""
        if offer.carries:
            self._set(offer.source, IN)

    def believed(self, offer: Offer) -> None:
        """Its manifest is the signers'; whoever waits for its content may have it."""
        if offer.carries:
            self._content.source_came(offer)

    def left(self, source: str) -> None:
        """It was pulled; what was copied of it stays for when it is back."""
        if self._states.pop(source, None) is not None:
            self._note("source.left", source=source)
        self._content.source_left(source)

    def refused(self, source: str, reason: str, detail: str) -> None:
        """It cannot be read safely, or is not believed."""
        self._set(source, f"{reason}: {detail}")
        self._note("source.refused", source=source, reason=reason, detail=detail)

    def _set(self, source: str, state: str) -> None:
        self._states.pop(source, None)
        self._states[source] = state
        while len(self._states) > REMEMBERED:
            del self._states[next(iter(self._states))]
