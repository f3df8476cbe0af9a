"""Devices that know a server: its line carries each byte once, and one of them may die."""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from scenarios.lib.fleet import WAITS, all_reach, bytes_of, fleet, knows, powered, until
from scenarios.lib.net import Host, Net, network
from scenarios.lib.office import Office
from scenarios.lib.spread import has
from tests.serving import served
from tests.support import needs_root

MIB = 1 << 20
SIZE = 16 * MIB
MBIT = 50
DEVICES = 6
UPLINKS = 2
SMALL = 64 * 1024
PORT = 8000


@dataclass
class Site:
    """`uplinks` know the server, `others` do not."""

    net: Net
    server: Host
    office: Office
    uplinks: list[Device]
    others: list[Device]

    @property
    def sent(self) -> int:
        """Bytes that the server has put on the wire so far."""
        return self.net.carried()[self.server.address][0]

    def publish(self) -> bytes:
        """A release for these devices; its image."""
        self.office.size = SIZE
        return self.office.release(2)


@asynccontextmanager
async def site(tmp_path: Path, mortal: int = 0) -> AsyncIterator[Site]:
    """Everybody knows everybody and a manifest that has nothing for them.

    So many of the `uplinks`, the first ones, stay off once they are off.
    """
    office = Office(tmp_path / "office", SMALL)
    office.release(1, hardware="another-board")
    async with AsyncExitStack() as stack:
        net = stack.enter_context(network(MBIT))
        server = net.host()
        url = f"http://{server.address}:{PORT}"
        stack.enter_context(served(office.directory, f"{server.address}:{PORT}", server.prefix))
        floor = await stack.enter_async_context(fleet(net, office.anchor))
        uplink = WAITS | {"uplink": {"url": url, "interval": 1}}
        linked = [floor.device(f"u{number}", settings=uplink) for number in range(UPLINKS)]
        others = [floor.device(f"d{number}", settings=WAITS) for number in range(DEVICES - UPLINKS)]
        for each in linked[:mortal]:
            await each.start()
        await stack.enter_async_context(powered([*linked[mortal:], *others]))
        for each in [*linked, *others]:
            await knows(each, DEVICES - 1)
            await until(lambda each=each: _informed(each), 20, "the manifest")  # type: ignore[misc]
        yield Site(net, server, office, linked, others)


async def _informed(device: Device) -> bool:
    status = await device.status()
    return bool(status and status["manifest"])


@needs_root
@pytest.mark.timeout(120)
async def test_two_devices_with_an_uplink_bring_a_floor_one_copy(tmp_path: Path) -> None:
    async with site(tmp_path) as this:
        before = this.sent
        image = this.publish()
        await all_reach([*this.uplinks, *this.others], "waiting", within=40)
        assert this.sent - before <= 1.1 * SIZE
        brought = [(await bytes_of(each))["uplink"] for each in this.uplinks]
        assert sum(brought) <= 1.05 * SIZE
        assert min(brought) > 0.2 * SIZE
        assert all(has(each, image) for each in [*this.uplinks, *this.others])


@needs_root
@pytest.mark.timeout(120)
async def test_when_one_of_two_uplinks_dies_the_other_goes_on_for_the_floor(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, mortal=1) as this:
        mortal, left = this.uplinks
        before = this.sent
        image = this.publish()

        async def a_part() -> bool:
            return this.sent - before > 0.4 * SIZE

        await until(a_part, 20, "a part is on the floor")
        await mortal.stop(signal.SIGKILL)
        assert this.sent - before < 0.8 * SIZE
        await all_reach([left, *this.others], "waiting", within=40)
        assert all(has(each, image) for each in [left, *this.others])
        assert this.sent - before <= 1.3 * SIZE
