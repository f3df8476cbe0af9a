"""Any device that has a release can make the stick that brings it to another network."""

from pathlib import Path

from p2pupd.publisher.authority import refresh
from scenarios.lib.disk import small_disk
from scenarios.lib.fleet import all_reach, fleet, on, powered, until
from scenarios.lib.office import Office
from tests.support import needs_root

SIZE = 2 << 20
ALONE = {"discovery": {"mdns": False}}
"""A network of its own: such a device finds nobody, and nobody finds it."""


async def test_a_stick_written_by_a_device_updates_a_device_on_another_network(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path / "office", SIZE)
    image = office.release(1)
    stick = tmp_path / "stick"
    stick.mkdir()
    async with fleet(None, office.anchor) as floor:
        here, there = (floor.device(name, settings=ALONE) for name in ("here", "there"))
        async with powered([here, there]):
            for each in (here, there):
                await until(each.status, 15, "daemon answers")
            await on(here, "export", str(stick), expect=4)
            await on(here, "import", str(office.directory))
            await all_reach([here], "confirmed", within=30)
            assert "wrote demo-os 1.1" in await on(here, "export", str(stick))
            assert "holds all of this already" in await on(here, "export", str(stick), expect=4)

            await on(there, "import", str(stick))
            await all_reach([there], "confirmed", within=30)
            assert await there.received() == {"lan": 0, "usb": SIZE}
            assert (there.directory / "slot_b").read_bytes() == image


async def test_a_newer_stick_is_left_as_it_is(tmp_path: Path) -> None:
    office = Office(tmp_path / "office", SIZE)
    office.release(1)
    async with fleet(None, office.anchor) as floor:
        seed = floor.device("seed", role="seed", installs=False, settings=ALONE)
        async with powered([seed]):
            await until(seed.status, 15, "daemon answers")
            await on(seed, "import", str(office.directory))
            refresh(office.directory, office.signing())
            stick = office.stick(tmp_path / "stick")
            before = contents(stick)
            said = await on(seed, "export", str(stick), expect=4)
            assert "newer" in said
            assert contents(stick) == before


@needs_root
async def test_a_stick_that_is_too_small_is_not_written(tmp_path: Path) -> None:
    office = Office(tmp_path / "office", SIZE)
    office.release(1)
    async with fleet(None, office.anchor) as floor:
        seed = floor.device("seed", role="seed", installs=False, settings=ALONE)
        async with powered([seed]):
            await until(seed.status, 15, "daemon answers")
            await on(seed, "import", str(office.directory))
            with small_disk(tmp_path / "stick", SIZE // 2) as stick:
                assert "nothing was written" in await on(seed, "export", str(stick), expect=60)
                assert contents(stick) == {}


def contents(stick: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in stick.rglob("*") if each.is_file()}
