"""Nodes of a floor in one process: real views, shelves and messages, but no network."""

from collections.abc import Callable, Iterable

from p2pupd.core.digest_tree import Index, name_of
from p2pupd.core.floor import Floor, Taken
from p2pupd.engine.fleet_settings import FleetSettings
from p2pupd.engine.fleetsync import FleetSync
from p2pupd.engine.shelves import RecordShelf
from p2pupd.errors import FetchError
from p2pupd.model.clock import WallClock
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.fleet import Stamp
from p2pupd.model.ids import DeviceId
from tests.saying import NOW, REALM, device, signed

QUICK = FleetSettings(interval=0.05, pace=0.01, devices=4000)  # type: ignore[arg-type]


class Node:
    """Device `number`, which knows the others of `floor` that `near` names by their numbers."""

    def __init__(
        self,
        number: int,
        floor: dict[DeviceId, "Node"],
        near: Iterable[int],
        settings: FleetSettings = QUICK,
    ) -> None:
        self.number = number
        self.id = device(number).id
        self.near = {device(each).id for each in near}
        self.index = Index()
        self.floor = Floor(settings.devices, self.index)
        self.overtaken: list[Stamp] = []
        self.news = 0
        self.sent = 0
        self._others = floor
        self.shelf = RecordShelf(
            self.floor,
            self.id,
            realm=REALM,
            site="",
            clock=lambda: WallClock(float(NOW), trusted=True),
            direct=lambda each: each in self.near,
            overtaken=self.overtaken.append,
            woke=self._on_news,
        )
        self.sync = FleetSync(
            settings,
            REALM,
            self.index,
            neighbours=self._neighbours,
            call=self._call,
            now=lambda: float(NOW),
            on_news=self._on_news,
        )
        self.sync.add(self.shelf)
        floor[self.id] = self

    def says(self, sequence: int = 1, news: int | None = None, model: str = "") -> Taken:
        """Speak about itself, to itself for now."""
        number = sequence if news is None else news
        taken, _ = self.shelf.say(signed(self.number, sequence=sequence, news=number, model=model))
        return taken

    def tells(self) -> None:
        """Let the others know at once what it said."""
        self.sync.changed(name_of(self.id))

    def knows(self) -> dict[DeviceId, int]:
        """{device: the sequence of its newest record}."""
        entries = self.floor.view().entries
        return {each: seen.record.sequence for each, seen in entries.items()}

    def _neighbours(self) -> list[Neighbour]:
        return [
            Neighbour(each, "127.0.0.1", 1, 1, REALM, "", Role.PEER, "test")
            for each in self.near
            if each in self._others
        ]

    async def _call(self, neighbour: Neighbour, raw: bytes) -> bytes:
        if self.id not in self._others[neighbour.id].near:
            raise FetchError("the cable is cut")
        answer = await self._others[neighbour.id].sync.answer(raw)
        self.sent += len(raw) + len(answer)
        return answer

    def _on_news(self) -> None:
        self.news += 1


def ring(count: int, width: int = 1) -> list[Node]:
    """So many nodes, each of which knows the `width` next ones on either side."""
    floor: dict[DeviceId, Node] = {}
    steps = [each for each in range(-width, width + 1) if each]
    return [
        Node(number, floor, ((number - 1 + step) % count + 1 for step in steps))
        for number in range(1, count + 1)
    ]


def all_same(nodes: Iterable[Node]) -> Callable[[], bool]:
    """Whether all of them hold the same."""
    everyone = list(nodes)
    return lambda: len({each.index.stamps.digest() for each in everyone}) == 1
