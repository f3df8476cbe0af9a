"""What a screen shows of the floor: every device with one word for it, every release on its way."""

from typing import Any

from p2pupd.core.copies import Copies
from p2pupd.core.forecast import Forecast, share_done, soak_left
from p2pupd.core.showing import newest_for, shown
from p2pupd.core.turn import Question
from p2pupd.core.waves import earlier_stages, soak_minutes, stage_name, stage_of, staged
from p2pupd.engine.fleet import Fleet
from p2pupd.engine.fleet_report import copies_picture
from p2pupd.engine.loop import Engine
from p2pupd.engine.orders import OrderShelf
from p2pupd.model.fleet import HOLD_CHARS
from p2pupd.model.release import Release

Json = dict[str, Any]
MOST_RELEASES = 8
"""Of so many releases the progress is shown, those of the highest numbers."""


class Board:
    """Reads, never changes. It is looked at after all news, for the forecasts."""

    def __init__(self, engine: Engine, fleet: Fleet, orders: OrderShelf) -> None:
        self._engine = engine
        self._fleet = fleet
        self._orders = orders
        self._forecasts: dict[Release, Forecast] = {}

    def look(self) -> None:
        """The view has changed."""
        if not self._engine.ready.is_set():
            return
        view, now = self._fleet.view, self._fleet.now()
        records = [each.record for each in view.entries.values()]
        running = self._releases()
        self._forecasts = {each: self._forecasts.get(each) or Forecast() for each in running}
        for release, forecast in self._forecasts.items():
            forecast.saw(share_done(records, release, self._resumed(release)), now)

    def picture(self) -> Json:
        """The floor of now, ready for JSON. Times are Unix seconds, sizes bytes, shares 0 to 1."""
        self.look()
        now = self._fleet.now()
        releases = self._engine.manifest.releases if self._engine.manifest else ()
        found = self._fleet.copies(releases, self._orders.orders)
        return {
            "now": now,
            "devices": self._devices(releases, now),
            "releases": [self._release(each, found, now) for each in self._forecasts],
            "sources": self._engine.sources.listing(),
            "stick_may_go": all(each.enough for each in found) if found else None,
            "orders": self._orders.listing(),
        }

    def _releases(self) -> list[Release]:
        """The newest release of each component and kind of hardware that a device here installs."""
        releases = self._engine.manifest.releases if self._engine.manifest else ()
        records = [each.record for each in self._fleet.view.entries.values()]
        newest = {newest_for(each, releases) for each in records} - {None}
        wanted = [each for each in newest if each is not None]
        wanted.sort(key=lambda each: (-each.release, each.component, each.hardware_ids))
        return wanted[:MOST_RELEASES]

    def _resumed(self, release: Release) -> int:
        return self._orders.orders.resumed(release.component, release.release)

    def _devices(self, releases: tuple[Release, ...], now: float) -> list[Json]:
        pictures = self._fleet.picture()
        for each in pictures:
            seen = self._fleet.view.entries[each["id"]]
            newest = newest_for(seen.record, releases)
            resumed = self._resumed(newest) if newest else 0
            each["shown"] = str(shown(seen, newest, resumed, now))
            each["stage"] = None
            if newest and staged(newest.rollout):
                each["stage"] = stage_of(newest, seen.record.device, seen.record.groups)
        return pictures

    def _release(self, release: Release, found: tuple[Copies, ...], now: float) -> Json:
        asked = self._engine.handlers.turns.question(release)
        tally, hold = asked.tally, asked.orders.held(release.component, release.release)
        copies = copies_picture(each for each in found if each.release == release)
        left, halted = self._forecasts[release].left(now), asked.course.is_halted(tally.resumed)
        records = [each.record for each in self._fleet.view.entries.values()]
        limit = release.rollout.max_failures
        return {
            "component": release.component,
            "version": release.version,
            "release": release.release,
            "urgency": str(release.urgency),
            "length": release.artifact.length,
            "held_as": release.artifact.sha256[:HOLD_CHARS],
            "devices": sum(each.members for each in tally.stages),
            "confirmed": sum(each.confirmed for each in tally.stages),
            "failed": sum(each.failed for each in tally.stages),
            "installing": len(tally.installing),
            "share": share_done(records, release, tally.resumed),
            "left": None if halted or hold else left,
            "soak": soak_left(tally, dict(asked.course.succeeded), now),
            "limit": None if limit is None else limit / 1000,
            "at_once": release.rollout.max_concurrent,
            "halted": halted,
            "held_by": hold.operator if hold else None,
            "copies": copies[0] if copies else None,
            "stages": _stages(asked) if staged(release.rollout) else [],
        }


def _stages(asked: Question) -> list[Json]:
    """Canaries and waves in their order; `state` is done, soaks, runs or waits."""
    policy, tally, pictures, running = asked.release.rollout, asked.tally, [], True
    for number in earlier_stages(policy, len(tally.stages)):
        stage, since = tally.stages[number], asked.course.succeeded.get(number)
        until = None if since is None else since + 60 * soak_minutes(policy, number)
        state = "runs" if running else "waits"
        if stage.members and stage.confirmed + stage.failed == stage.members and not stage.failed:
            state = "done"
        if running and until is not None and asked.now < until and number + 1 < len(tally.stages):
            state = "soaks"
        running = running and until is not None and asked.now >= until
        pictures.append(
            {
                "name": stage_name(policy, number),
                "share": policy.waves[number - 1].permille / 1000 if number else None,
                "devices": stage.members,
                "confirmed": stage.confirmed,
                "failed": stage.failed,
                "state": state,
                "until": until if state == "soaks" else None,
            }
        )
    return pictures
