"""An update on a floor half of which has the release before, and half nothing."""

import random
import shutil
from pathlib import Path

import pytest

from p2pupd.demo.device import Device
from scenarios.lib.accounts import SOURCES, scraped
from scenarios.lib.fleet import WAITS, Publisher, all_reach, bytes_of, fleet, powered, until
from scenarios.lib.net import network
from tests.support import needs_root

MIB = 1 << 20
BLOCK = 256 << 10
SIZE = 64 * MIB
MBIT = 50
DEVICES = 8


def changed(old: bytes, share: float) -> bytes:
    """Another image, of which so much is new."""
    dice, new = random.Random(4), bytearray(old)
    for block in dice.sample(range(len(old) // BLOCK), int(share * len(old)) // BLOCK):
        new[block * BLOCK : (block + 1) * BLOCK] = dice.randbytes(BLOCK)
    return bytes(new)


@needs_root
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("share", "most"), [(0.5, 1.15), (0.1, 1.5)])
async def test_what_half_the_floor_has_already_reaches_the_other_half_too(
    tmp_path: Path, share: float, most: float
) -> None:
    """`most` is how often the seed may send what nobody had. Where little is new, its guess of what
    others will make of their old packs has more to lose on a busy machine."""
    publisher = await Publisher(tmp_path / "office").init()
    image = await publisher.release(SIZE, packed=True)
    old = image.read_bytes()
    new = changed(old, share)
    with network(MBIT) as net:
        async with fleet(net, publisher.anchor) as floor:
            seed = floor.seed()
            have = [floor.device(f"old{number}") for number in range(DEVICES // 2)]
            lack = [floor.device(f"new{number}") for number in range(DEVICES // 2)]
            async with powered([seed]):
                stick = await publisher.stick(floor.stick)
                async with powered(have):
                    await all_reach(have, "confirmed", within=120)
                shutil.rmtree(stick)
                await publisher.release(SIZE, packed=True, content=new)
                await publisher.stick(floor.stick)
                await until(lambda: _carries(seed, 2), 30, "the seed has the new release")
                assert await _update(seed, have, lack) <= most


async def _carries(seed: Device, number: int) -> bool:
    status = await seed.status()
    return status is not None and any(
        each["verified"] and each["release"] and each["release"]["release"] == number
        for each in status["stored"]
    )


async def _update(seed: Device, have: list[Device], lack: list[Device]) -> float:
    """All devices are switched on at the same time, and take the release. How often the seed sends
    what nobody had."""
    before = (await scraped(seed, "socket"))["p2pupd_bytes_total", "out", "lan"]
    for each in [*have, *lack]:
        each.settings = {**each.settings, **WAITS}
        each.prepare()
    async with powered([*have, *lack]):
        await all_reach([*have, *lack], "waiting", within=120)
        sent = (await scraped(seed, "socket"))["p2pupd_bytes_total", "out", "lan"] - before
        counts = {each.name: await bytes_of(each) for each in [*have, *lack]}
        lengths = {sum(each[source] for source in SOURCES) for each in counts.values()}
        assert len(lengths) == 1
        length = lengths.pop()
        made = [counts[each.name]["reuse"] for each in have]
        assert min(made) > 0.4 * length
        assert all(counts[each.name]["reuse"] == 0 for each in lack)
        given = sum(each["sent"] for each in counts.values())
        assert given > 2 * length
        nobody = length - min(made)
        print(f"pack {length}, nobody has {nobody}, the seed sent {sent}: {sent / nobody:.2f}")
        return float(sent / nobody)
