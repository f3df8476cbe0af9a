"""What a floor needs of its seed: one copy. Then it may die, and who comes late asks others."""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from scenarios.lib.fleet import WAITS, Fleet, all_reach, fleet, knows, powered, until
from scenarios.lib.net import Net, network
from scenarios.lib.office import Office
from scenarios.lib.spread import Spread, has
from tests.support import needs_root

MIB = 1 << 20
SIZE = 16 * MIB
MBIT = 50
DEVICES = 5


@dataclass
class Floor:
    """The seeds watch for the stick; once off, the first one stays off."""

    net: Net
    fleet: Fleet
    seeds: list[Device]
    devices: list[Device]
    office: Office
    image: bytes

    def sent(self) -> list[float]:
        """What each seed has put on the wire so far, in images."""
        carried = self.net.carried()
        return [carried[each.address][0] / SIZE for each in self.seeds]

    async def plug_in(self) -> None:
        """The stick goes into every seed."""
        pocket = self.office.stick(self.fleet.directory / "pocket")
        pocket.rename(self.fleet.stick)

    async def complete(self) -> None:
        """Every device has the whole image."""
        await all_reach(self.devices, "waiting", within=30)
        assert all(has(each, self.image) for each in self.devices)


@asynccontextmanager
async def floor_of(tmp_path: Path, seeds: int = 1) -> AsyncIterator[Floor]:
    office = Office(tmp_path / "office", SIZE)
    image = office.release(1)
    async with AsyncExitStack() as stack:
        net = stack.enter_context(network(MBIT))
        made = await stack.enter_async_context(fleet(net, office.anchor))
        all_seeds = [made.seed(f"seed{number}") for number in range(seeds)]
        devices = [made.device(f"d{number}", settings=WAITS) for number in range(DEVICES)]
        await all_seeds[0].start()
        await stack.enter_async_context(powered([*all_seeds[1:], *devices]))
        for each in [*all_seeds, *devices]:
            await knows(each, DEVICES + seeds - 1)
        yield Floor(net, made, all_seeds, devices, office, image)


@needs_root
@pytest.mark.timeout(120)
async def test_a_seed_that_dies_half_way_is_replaced_by_another_one(tmp_path: Path) -> None:
    async with floor_of(tmp_path, seeds=2) as this:
        await this.plug_in()

        async def half() -> bool:
            return sum(this.sent()) > 0.5

        await until(half, 20, "half a copy was sent")
        await this.seeds[0].stop(signal.SIGKILL)
        sent = this.sent()
        assert min(sent) > 0.1
        assert sum(sent) < 0.9
        await this.complete()
        assert sum(this.sent()) < 1.7


@needs_root
@pytest.mark.timeout(120)
async def test_the_only_seed_may_die_once_it_has_sent_one_copy(tmp_path: Path) -> None:
    async with floor_of(tmp_path) as this:
        await this.plug_in()
        spread = Spread(this.image, this.devices)

        async def everywhere() -> bool:
            return spread.look() == 1

        await until(everywhere, 20, "every piece is on the floor")
        (sent,) = this.sent()
        await this.seeds[0].stop(signal.SIGKILL)
        assert sent < 1.2
        await this.complete()


@needs_root
@pytest.mark.timeout(120)
async def test_a_device_that_comes_late_gets_its_image_from_the_floor(tmp_path: Path) -> None:
    async with floor_of(tmp_path) as this:
        await this.plug_in()
        await this.complete()
        (before,) = this.sent()
        late = this.fleet.device("late", settings=WAITS)
        async with powered([late]):
            await all_reach([late], "waiting", within=30)
        (after,) = this.sent()
        assert has(late, this.image)
        assert after - before < 0.35
