"""When a change of what this device announces may be sent: pure, time is passed in."""

from dataclasses import fields

from p2pupd.model.device import Announcement


class AnnouncementPace:
    """The first change of a field goes out at once, the next of that field after `interval`.

    What waits is sent together, and the newest always goes out in the end.
    """

    def __init__(self, first: Announcement, interval: float) -> None:
        """`first` is being announced already; it counts as no change. `interval` is seconds."""
        self.sent = first
        self.wanted = first
        self._interval = interval
        self._last: dict[str, float] = {}

    def due(self) -> float | None:
        """The moment from which `wanted` may be sent, on the clock of `send`; None: no change."""
        changes = self._changes()
        if not changes:
            return None
        return min(self._last.get(name, 0.0) for name in changes)

    def send(self, now: float) -> Announcement:
        """`wanted`, which the caller sends now."""
        for name in self._changes():
            self._last[name] = now + self._interval
        self.sent = self.wanted
        return self.sent

    def _changes(self) -> list[str]:
        return [
            field.name
            for field in fields(self.sent)
            if getattr(self.sent, field.name) != getattr(self.wanted, field.name)
        ]
