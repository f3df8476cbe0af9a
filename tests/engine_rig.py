"""A device in this process, without a network: real journal, store, trust and slots; its clock, its
view of the floor and its operators' orders are the test's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2pupd.assembly import install_part, open_disk
from p2pupd.config.load import load_config
from p2pupd.core.orders import NO_ORDERS, Came, SiteOrders
from p2pupd.demo import device as demo
from p2pupd.engine.courses import CourseFile
from p2pupd.engine.loop import Engine
from p2pupd.engine.parts import Parts, SitePart
from p2pupd.errors import FetchError
from p2pupd.health.interface import ProbeResult
from p2pupd.install.bootloaders.statefile import power_on
from p2pupd.model.clock import WallClock
from p2pupd.model.fleet import Seen, View
from p2pupd.model.ids import ComponentId, DeviceId, Realm
from p2pupd.model.orders import Order, OrderKind
from p2pupd.swarm.http_only import HttpSwarm
from p2pupd.swarm.over_http import HttpPieces
from tests.builders import COMPONENT, HARDWARE
from tests.support import running

OPERATOR = "f" * 64


async def _nobody(*_: Any) -> bytes:
    raise FetchError("there is no network")


async def _never() -> None:
    await asyncio.Event().wait()


async def _healthy() -> ProbeResult:
    return ProbeResult(ok=True)


@dataclass
class Rig:
    """`said` is every line of history, `changes` how often something was told."""

    directory: Path
    anchor: Path
    now: float
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    entries: dict[DeviceId, Seen] = field(default_factory=dict)
    orders: SiteOrders = NO_ORDERS
    said: list[str] = field(default_factory=list)
    changes: int = 0
    looks: int = 0
    parts: Parts = field(init=False)

    def __post_init__(self) -> None:
        sections: dict[str, dict[str, Any]] = {
            "device": {"hardware": [HARDWARE]},
            "install": {"component": COMPONENT},
        }
        for name, values in self.settings.items():
            sections[name] = sections.get(name, {}) | values
        made = demo.Device("here", self.directory, "127.0.0.1", self.anchor, settings=sections)
        made.prepare()
        power_on(self.directory / "boot.json")
        self.config = load_config(made.config_file).settings
        self.disk = open_disk(self.config)
        self.parts = self._parts()

    def _parts(self) -> Parts:
        config, disk = self.config, self.disk
        return Parts(
            device=disk.identity.id,
            journal=disk.journal,
            store=disk.store,
            swarm=HttpSwarm(HttpPieces(_nobody, _nobody, 1.0)),
            verifier=disk.verifier,
            install=install_part(config),
            clock=lambda: WallClock(self.now, trusted=True),
            probe=_healthy,
            reboot=_never,
            power_ok=lambda: True,
            announce=lambda _: None,
            view=lambda: View(self.entries),
            changed=self._changed,
            site=SitePart(
                config.site,
                config.fleet.groups,
                orders=lambda: self.orders,
                courses=CourseFile(config.state_dir),
            ),
        )

    def hears(self, *floor: Seen) -> None:
        """These records come in."""
        self.entries.update({each.record.device: each for each in floor})

    def ordered(self, *kinds: OrderKind, sequence: int = 1, release: int = 7) -> None:
        """An operator has given these orders about a release, and no others."""
        component = ComponentId(COMPONENT)
        self.orders = SiteOrders(
            Order(each, Realm("0" * 16), "", OPERATOR, 1, sequence, component, release)
            for each in kinds
        )

    def writes_off(self, silence: int, said: float) -> None:
        """An operator has written off who was silent for so long, and has given no other order."""
        order = Order(OrderKind.WRITE_OFF, Realm("0" * 16), "", OPERATOR, 1, 1, value=silence)
        self.orders = SiteOrders([order], {order: Came(said, 0.0)})

    def note(self, event: str, **_: str) -> None:
        """A line of history."""
        self.said.append(event)

    def look_again(self) -> None:
        """The question is to be asked anew."""
        self.looks += 1

    def _changed(self) -> None:
        self.changes += 1


@asynccontextmanager
async def engine_of(rig: Rig) -> AsyncIterator[Engine]:
    """Its engine, which runs, and its swarm."""
    engine = Engine(rig.parts, rig.config.device)
    async with running(engine.run(), rig.parts.swarm.run()):
        await engine.ready.wait()
        yield engine
