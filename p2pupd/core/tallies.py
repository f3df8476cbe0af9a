"""Tallies that follow a view: of each release, only what was said anew is counted again."""

from typing import Final

from p2pupd.core.tally import Tally
from p2pupd.model.fleet import Seen, View
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Release

MOST: Final = 16
"""Releases that are followed at the same time; the one that was asked for first gives way."""


class Tallies:
    """Whoever asks gets the tally itself, which follows the view when it is asked for again."""

    def __init__(self) -> None:
        self._followed: dict[tuple[str, int], _Followed] = {}

    def of(
        self, release: Release, view: View, *, retired: frozenset[DeviceId], resumed: int
    ) -> Tally:
        """What `view` proves about the release. The rest as for Tally."""
        key = (release.component, release.release)
        followed = self._followed.pop(key, None)
        if followed is None or not followed.serves(release, view, retired, resumed):
            followed = _Followed(release, retired, resumed)
        self._followed[key] = followed
        if len(self._followed) > MOST:
            del self._followed[next(iter(self._followed))]
        followed.follow(view)
        return followed.tally


class _Followed:
    def __init__(self, release: Release, retired: frozenset[DeviceId], resumed: int) -> None:
        self.tally = Tally(release, retired=retired, resumed=resumed)
        self._retired = retired
        self._put: dict[DeviceId, Seen] = {}

    def serves(
        self, release: Release, view: View, retired: frozenset[DeviceId], resumed: int
    ) -> bool:
        """Whether what was counted under these orders is still what is asked for."""
        same = (self.tally.release, self._retired, self.tally.resumed)
        return same == (release, retired, resumed) and self._put.keys() <= view.entries.keys()

    def follow(self, view: View) -> None:
        for device, seen in view.entries.items():
            if self._put.get(device) is not seen:
                self._put[device] = seen
                self.tally.put(seen)
