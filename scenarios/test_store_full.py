"""No room for a release: refused before a byte is moved, and taken once there is room."""

import json
from pathlib import Path

from p2pupd.demo.device import Device
from scenarios.lib.disk import small_disk
from scenarios.lib.fleet import Json, all_reach, events, fleet, knows, on, powered, until
from scenarios.lib.office import Office
from tests.support import needs_root

MIB = 1 << 20
SIZE = 8 * MIB
IMPATIENT: Json = {"recheck": 1.0}
"""Seconds between two looks at what was refused for lack of space."""


async def _refused(device: Device) -> None:
    """The reason is in `status`, and not a byte was moved."""
    await all_reach([device], "refused", within=15)
    status = json.loads(await on(device, "status", "--json"))
    deployment = status["deployment"]
    assert (deployment["reason"], deployment["code"]) == ("no-space", 60)
    assert "free the disk or raise store.quota" in deployment["detail"]
    assert all(set(each["bytes"].values()) == {0} for each in status["transfers"])
    assert status["store"]["used"] == 0
    assert list((device.directory / "store").iterdir()) == []


async def _refusals(device: Device) -> int:
    return sum(each["event"] == "deployment.refused" for each in await events(device))


async def test_a_release_beyond_the_quota_is_taken_when_the_quota_is_raised(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path / "office", SIZE)
    image = office.release(1)
    stick = office.stick(tmp_path / "stick")
    async with fleet(None, office.anchor) as floor:
        seed = floor.seed()
        device = floor.device("device", settings={"store": {"quota": SIZE // 2}})
        async with powered([seed, device]):
            await until(device.status, 15, "daemon answers")
            said = await on(device, "import", str(stick), expect=60)
            assert "no-space" in said
            assert "goes for" not in said
            await _refused(device)

            await on(seed, "import", str(stick))
            await knows(device, 1)
            await _refused(device)
            device.settings = {"store": {"quota": 2 * SIZE}}
            device.prepare()
            await device.stop()
            await all_reach([device], "confirmed", within=30)
            assert await device.received() == {"lan": SIZE, "usb": 0}
        assert (device.directory / "slot_b").read_bytes() == image


@needs_root
async def test_a_release_too_large_for_the_disk_is_taken_when_there_is_room(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path / "office", SIZE)
    image = office.release(1)
    stick = office.stick(tmp_path / "stick")
    async with fleet(None, office.anchor) as floor:
        with small_disk(floor.directory / "device", 4 * SIZE) as disk:
            media = {"directories": [str(stick)], "poll": 0.1}
            store = {"reserve": MIB}
            device = floor.device(
                "device", settings={"store": store, "media": media, "device": IMPATIENT}
            )
            logs = disk / "somebody-elses-logs"
            logs.write_bytes(bytes(3 * SIZE + SIZE // 2))
            async with powered([device]):
                await _refused(device)
                assert await _refusals(device) == 1
                assert (device.directory / "slot_b").stat().st_size < SIZE
                logs.unlink()
                await all_reach([device], "confirmed", within=30)
                assert await device.received() == {"lan": 0, "usb": SIZE}
                await device.stop()
            assert (device.directory / "slot_b").read_bytes() == image


@needs_root
async def test_a_seed_whose_disk_is_full_carries_the_release_when_there_is_room(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path / "office", SIZE)
    office.release(1)
    stick = office.stick(tmp_path / "stick")
    async with fleet(None, office.anchor) as floor:
        with small_disk(floor.directory / "seed", 3 * SIZE) as disk:
            settings = {"device": IMPATIENT, "store": {"reserve": MIB}}
            seed = floor.device("seed", role="seed", installs=False, settings=settings)
            logs = disk / "somebody-elses-logs"
            logs.write_bytes(bytes(2 * SIZE + SIZE // 2))
            async with powered([seed]):
                await until(seed.status, 15, "daemon answers")
                await on(seed, "import", str(stick), expect=60)
                assert await _transfers(seed) == ["failed"]
                logs.unlink()
                helper = floor.device("helper")
                async with powered([helper]):
                    await until(helper.status, 15, "daemon answers")
                    await on(helper, "import", str(stick))

                    async def carried() -> bool:
                        return await _transfers(seed) == ["complete"]

                    await until(carried, 15, "the seed carries it")


async def _transfers(device: Device) -> list[str]:
    status = await device.status() or {"transfers": []}
    return [each["state"] for each in status["transfers"]]
