"""What a device holds already is made, not fetched; what is wrong with it costs the download."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from p2pupd.errors import PackError
from p2pupd.install.interface import OldImage
from p2pupd.model.device import Origin
from tests.contents import artifact_of
from tests.packing import noise, packed, prose
from tests.reuse_rig import KINDS, Here, a_device, meet, released
from tests.support import eventually

MIB = 1 << 20
OLD = noise(8 * MIB) + prose(8 * MIB)
NEW = noise(100, seed=3) + OLD[: 12 * MIB] + noise(MIB, seed=2) + OLD[12 * MIB :] + bytes(MIB)
BEFORE = packed(OLD)
AFTER = packed(NEW, BEFORE)
RELEASE = released(NEW, AFTER)
ARTIFACT = RELEASE.artifact


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def fetched(here: Here, seed: Here) -> None:
    """Right bytes, whatever was reused."""
    meet(here, seed)
    async with asyncio.timeout(40):
        await here.content.ensure(RELEASE)
    assert here.stored(ARTIFACT) == AFTER.raw


def real(here: Here) -> dict[Origin, int]:
    reuse = here.content.transfers()[-1].reuse
    assert reuse is not None
    assert sum(reuse.real.values()) == here.counts(ARTIFACT)["reuse"]
    return reuse.real


async def test_a_pack_in_the_store_is_copied(tmp_path: Path, kind: str) -> None:
    async with (
        a_device(tmp_path / "s", "libtorrent", seed=True) as seed,
        a_device(tmp_path / "a", kind) as here,
    ):
        await seed.has(AFTER.raw)
        await here.has(BEFORE.raw)
        await fetched(here, seed)
        assert real(here)[Origin.STORE] > 0.8 * ARTIFACT.length
        assert here.counts(ARTIFACT)["lan"] < 0.2 * ARTIFACT.length
        reuse = here.content.transfers()[-1].reuse
        assert reuse is not None
        assert reuse.expected == reuse.real


async def test_the_slot_that_runs_is_cut_and_compressed_again(tmp_path: Path, kind: str) -> None:
    slot = tmp_path / "slot"
    slot.write_bytes(OLD + noise(MIB, seed=9))
    async with (
        a_device(tmp_path / "s", "libtorrent", seed=True) as seed,
        a_device(tmp_path / "a", kind, olds=[OldImage(slot, len(OLD))]) as here,
    ):
        await seed.has(AFTER.raw)
        await fetched(here, seed)
        assert real(here)[Origin.SLOT] > 0.8 * ARTIFACT.length


async def test_an_image_in_the_store_is_cut_once_even_if_it_runs(tmp_path: Path, kind: str) -> None:
    """The release before was carried as it is."""
    slot = tmp_path / "slot"
    slot.write_bytes(OLD)
    running = OldImage(slot, len(OLD), artifact_of(OLD).sha256)
    async with (
        a_device(tmp_path / "s", "libtorrent", seed=True) as seed,
        a_device(tmp_path / "a", kind, olds=[running]) as here,
    ):
        await seed.has(AFTER.raw)
        await here.has(OLD)
        await fetched(here, seed)
        assert real(here)[Origin.STORE] > 0.8 * ARTIFACT.length
        assert real(here)[Origin.SLOT] == 0


async def test_what_was_made_is_handed_on_before_the_rest_is_here(tmp_path: Path) -> None:
    """Nobody has the whole: one makes the old part, and gives it to another."""
    async with AsyncExitStack() as stack:
        seed = await stack.enter_async_context(a_device(tmp_path / "s", seed=True))
        old = await stack.enter_async_context(a_device(tmp_path / "a"))
        new = await stack.enter_async_context(a_device(tmp_path / "b"))
        await seed.has(AFTER.raw)
        await old.has(BEFORE.raw)
        async with asyncio.TaskGroup() as group:
            meet(old, seed)
            group.create_task(old.content.ensure(RELEASE))
            transfer = (await eventually(old.content.transfers))[-1]
            await eventually(lambda: transfer.reuse and transfer.reuse.planned.is_set())
            seed.swarm.set_peers([])
            meet(old, new)
            group.create_task(new.content.ensure(RELEASE))
            await eventually(lambda: new.content.counts(ARTIFACT).lan > ARTIFACT.length // 2)
            meet(old, new, seed)
        assert new.stored(ARTIFACT) == old.stored(ARTIFACT) == AFTER.raw


@pytest.mark.parametrize(
    "damage",
    ["missing", "other bytes", "cut", "a directory", "every block"],
)
async def test_an_old_slot_that_is_damaged_costs_the_download(tmp_path: Path, damage: str) -> None:
    slot = tmp_path / "slot"
    content = bytearray(OLD)
    match damage:
        case "a directory":
            slot.mkdir()
        case "other bytes":
            slot.write_bytes(noise(len(OLD), seed=8))
        case "cut":
            slot.write_bytes(OLD[: 5 * MIB])
        case "every block":
            for at in range(0, len(content), 64 << 10):
                content[at] ^= 1
            slot.write_bytes(content)
        case _:
            pass
    async with (
        a_device(tmp_path / "s", seed=True) as seed,
        a_device(tmp_path / "a", olds=[OldImage(slot)]) as here,
    ):
        await seed.has(AFTER.raw)
        await fetched(here, seed)


async def test_an_old_slot_that_changes_under_the_reader_costs_the_download(
    tmp_path: Path,
) -> None:
    slot = tmp_path / "slot"
    slot.write_bytes(OLD)
    async with (
        a_device(tmp_path / "s", seed=True) as seed,
        a_device(tmp_path / "a", olds=[OldImage(slot)]) as here,
    ):
        await seed.has(AFTER.raw)
        meet(here, seed)
        async with asyncio.TaskGroup() as group:
            group.create_task(here.content.ensure(RELEASE))
            transfer = (await eventually(here.content.transfers))[-1]
            await eventually(lambda: transfer.reuse and sum(transfer.reuse.expected.values()))
            with open(slot, "r+b") as file:
                for at in range(0, len(OLD), 256 << 10):
                    file.seek(at)
                    file.write(b"changed under the reader")
        assert here.stored(ARTIFACT) == AFTER.raw
        assert transfer.reuse is not None
        assert sum(transfer.reuse.real.values()) < sum(transfer.reuse.expected.values())


async def test_an_old_pack_that_rotted_costs_the_download(tmp_path: Path, kind: str) -> None:
    async with (
        a_device(tmp_path / "s", seed=True) as seed,
        a_device(tmp_path / "a", kind) as here,
    ):
        await seed.has(AFTER.raw)
        await here.has(BEFORE.raw)
        (found,) = here.store.objects()
        with open(found.path, "r+b") as file:
            file.seek(len(BEFORE.raw) // 2)
            file.write(noise(2 * MIB, seed=5))
        await fetched(here, seed)
        assert 0 < real(here)[Origin.STORE] < 0.9 * ARTIFACT.length


async def test_a_pack_of_another_image_than_the_signed_one_is_refused(tmp_path: Path) -> None:
    lying = released(NEW + b"?", AFTER)
    async with (
        a_device(tmp_path / "s", seed=True) as seed,
        a_device(tmp_path / "a") as here,
    ):
        await seed.has(AFTER.raw)
        await here.has(BEFORE.raw)
        meet(here, seed)
        with pytest.raises(PackError, match="signed are") as refused:
            await here.content.ensure(lying)
        assert refused.value.reason == "bad-pack"
        assert here.content.counts(ARTIFACT).lan == 0


async def test_a_device_with_nothing_old_asks_for_no_header(tmp_path: Path, kind: str) -> None:
    small = tmp_path / "slot"
    small.write_bytes(b"factory image")
    async with (
        a_device(tmp_path / "s", seed=True) as seed,
        a_device(tmp_path / "a", kind, olds=[OldImage(small), OldImage(tmp_path / "no")]) as here,
    ):
        await seed.has(AFTER.raw)
        await fetched(here, seed)
        assert here.content.transfers()[-1].reuse is None
        assert here.counts(ARTIFACT) == {"lan": ARTIFACT.length}


async def test_what_was_made_before_a_restart_is_not_made_again(tmp_path: Path, kind: str) -> None:
    async with a_device(tmp_path / "s", seed=True) as seed:
        await seed.has(AFTER.raw)
        async with a_device(tmp_path / "a", kind) as here:
            await here.has(BEFORE.raw)
            meet(here, seed)
            async with asyncio.TaskGroup() as group:
                fetching = group.create_task(here.content.ensure(RELEASE))
                transfer = (await eventually(here.content.transfers))[-1]
                await eventually(lambda: transfer.reuse and sum(transfer.reuse.real.values()))
                fetching.cancel()
        async with a_device(tmp_path / "a", kind) as here:
            await here.has(BEFORE.raw)
            await fetched(here, seed)
            assert here.counts(ARTIFACT)["reuse"] > 0.8 * ARTIFACT.length
