"""Care for the line, seen on the line: the mark on packets, and what a site's seeds send."""

import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from scenarios.lib.fleet import WAITS, Fleet, all_reach, fleet, knows, on, powered, until
from scenarios.lib.net import Host, Net, network
from scenarios.lib.office import Office
from tests.support import needs_root, needs_tool

MIB = 1 << 20
SIZE = 12 * MIB
CAP = 3 * MIB
HEADERS = 1.06
"""What is on the wire for a byte of payload, at most: frames are counted with what is around it."""


@asynccontextmanager
async def floor_of(tmp_path: Path) -> AsyncIterator[tuple[Net, Fleet]]:
    """Off; the stick is in."""
    office = Office(tmp_path / "office", SIZE)
    office.release(1)
    with network() as net:
        async with fleet(net, office.anchor) as floor:
            office.stick(floor.directory / "pocket").rename(floor.stick)
            yield net, floor


class Counted:
    """Bytes of TCP that leave a host, by the kernel's own count."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._nft("add", "table", "ip", "count")
        hook = "{ type filter hook postrouting priority 300; }"
        self._nft("add", "chain", "ip", "count", "out", hook)
        self._rule("ip", "dscp", "lephb", "comment", '"marked"')
        self._rule("ip", "dscp", "!=", "lephb", "comment", '"plain"')

    def _rule(self, *match: str) -> None:
        *fields, comment, text = match
        where = ("add", "rule", "ip", "count", "out", "oifname", "eth0", "meta", "l4proto", "tcp")
        self._nft(*where, *fields, "counter", comment, text)

    def _nft(self, *arguments: str) -> str:
        command = [*self._host.prefix, "nft", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def read(self) -> dict[str, int]:
        """{"marked": bytes with the code point of lower effort, "plain": all others}."""
        rules = [each["rule"] for each in json.loads(self._listed())["nftables"] if "rule" in each]
        return {
            rule["comment"]: part["counter"]["bytes"]
            for rule in rules
            for part in rule["expr"]
            if "counter" in part
        }

    def _listed(self) -> str:
        return self._nft("-j", "list", "table", "ip", "count")


@needs_root
@needs_tool("nft")
@pytest.mark.timeout(120)
async def test_payload_leaves_every_device_with_the_mark_of_lower_effort(tmp_path: Path) -> None:
    """By BitTorrent and by HTTP; what else devices tell each other is little and not marked."""
    async with floor_of(tmp_path) as (net, floor):
        seed = floor.seed()
        torrent = floor.device("torrent", settings=WAITS)
        plain = floor.device("plain", settings=WAITS | {"swarm": {"backend": "http"}})
        counted = [Counted(host) for host in net.hosts]
        async with powered([seed, torrent, plain]):
            await all_reach([torrent, plain], "waiting", within=40)
            sums = [each.read() for each in counted]
    assert sum(each["marked"] for each in sums) >= 2 * SIZE
    assert sum(each["plain"] for each in sums) < 0.05 * SIZE


@needs_root
@pytest.mark.timeout(120)
async def test_two_seeds_together_keep_to_the_sites_cap_until_it_is_lifted(tmp_path: Path) -> None:
    async with floor_of(tmp_path) as (net, floor):
        seeds = [floor.seed(name, settings={"limits": {"seed_cap": CAP}}) for name in ("s1", "s2")]
        devices = [floor.device(f"d{number}", settings=WAITS) for number in range(3)]

        def sent() -> int:
            return sum(net.carried()[each.address][0] for each in seeds)

        async def more_than(count: int) -> bool:
            return sent() > count

        async with powered([*seeds, *devices]):
            for each in [*seeds, *devices]:
                await knows(each, 4)
            await until(lambda: more_than(SIZE // 6), 20, "payload moves")
            first, began = sent(), time.monotonic()
            await until(lambda: more_than(first + SIZE // 2), 20, "half an image")
            rate = (sent() - first) / (time.monotonic() - began)
            assert 0.6 * CAP < rate < 1.15 * HEADERS * CAP
            assert "upload at most 1.5 MiB/s" in await on(seeds[0], "status")
            await lifted(seeds)
            await all_reach(devices, "waiting", within=30)


async def lifted(seeds: list[Device]) -> None:
    """No cap any more, without a restart."""
    for each in seeds:
        boots = each.boots
        each.settings = {**each.settings, "limits": {"seed_cap": 0}}
        each.prepare()
        assert "applied: limits.seed_cap" in await on(each, "reload")
        assert each.boots == boots
