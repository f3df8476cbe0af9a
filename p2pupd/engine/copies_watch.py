"""Tells when the floor holds a release often enough: then the stick may be removed."""

from collections.abc import Callable

from p2pupd.engine.fleet import Fleet
from p2pupd.engine.loop import Engine
from p2pupd.model.release import Release


class CopiesWatch:
    """Looks after every change of the view. What was so at the start is not told again."""

    def __init__(self, engine: Engine, fleet: Fleet, *on_change: Callable[[], None]) -> None:
        """`on_change` is called at every look."""
        self._on_change = on_change
        self._engine = engine
        self._fleet = fleet
        self._enough: set[Release] | None = None

    def look(self, foreign: bool) -> None:
        """The view has changed; `foreign`: by what others say."""
        for told in self._on_change:
            told()
        manifest = self._engine.manifest
        if not self._engine.ready.is_set():
            return
        orders = self._engine.parts.site.orders()
        found = self._fleet.copies(manifest.releases if manifest else (), orders)
        enough = {each.release for each in found if each.enough}
        for each in found:
            if each.enough and self._enough is not None and each.release not in self._enough:
                self._engine.note(
                    "site.complete",
                    release=each.release.label,
                    copies=str(each.held),
                    detail="the floor holds it without the seed: the stick may be removed",
                )
        self._enough = enough | (self._enough or set())
        if foreign:
            self._engine.reconsider()
