"""What neighbours may have of the store."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from p2pupd.core.piece_layer import PieceLayer
from p2pupd.engine.served import Served
from p2pupd.engine.tasks import Tasks
from p2pupd.host.layer_files import SUFFIX, keep_layer, layer_of_file
from p2pupd.model.device import Role
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact
from p2pupd.model.setting import Bytes
from p2pupd.store.disk import DiskStore
from p2pupd.store.settings import StoreSettings
from p2pupd.swarm.arrivals import Arrival, Arrivals
from p2pupd.swarm.interface import Holdings
from tests.contents import layer_of, payload
from tests.support import eventually
from tests.unit.store.test_layers import signed

SIZE = 300_000


async def nothing_here(artifact: Artifact) -> Holdings:
    return Holdings((False,) * artifact.pieces, (0,) * artifact.pieces)


@asynccontextmanager
async def served(
    directory: Path, role: Role = Role.PEER
) -> AsyncIterator[tuple[Served, DiskStore, Callable[[], int]]]:
    """(what is tested, its store, how many tasks it has started)."""
    store = DiskStore(directory / "store", StoreSettings(reserve=Bytes(0)))
    async with asyncio.TaskGroup() as group:
        before = len(asyncio.all_tasks())
        made = Served(store, role, Tasks(group), Arrivals(), nothing_here)
        yield made, store, lambda: len(asyncio.all_tasks()) - before


async def test_verified_files_and_their_layers_are_served(tmp_path: Path) -> None:
    content = payload(SIZE)
    artifact = signed(content)
    async with served(tmp_path) as (shelf, store, _):
        assert await shelf.artifact(artifact.sha256) is None
        assert await shelf.layer(artifact.sha256) is None
        directory = store.place(artifact)
        (directory / artifact.pieces_root).write_bytes(content)
        assert await shelf.artifact(artifact.sha256) is None
        store.verify(artifact)
        assert await shelf.artifact(artifact.sha256) == directory / artifact.pieces_root
        assert await shelf.layer(artifact.sha256) == store.layer(artifact.sha256) is not None


async def test_a_leech_serves_nothing(tmp_path: Path) -> None:
    content = payload(SIZE)
    artifact = signed(content)
    async with served(tmp_path, Role.LEECH) as (shelf, store, _):
        store.import_from(artifact, lambda: io.BytesIO(content), lambda _: None)
        assert await shelf.artifact(artifact.sha256) is None
        assert await shelf.layer(artifact.sha256) is None


async def test_callers_that_hang_up_leave_one_reader_and_the_next_one_gets_the_layer(
    tmp_path: Path,
) -> None:
    content = payload(SIZE)
    artifact = signed(content)
    async with served(tmp_path) as (shelf, store, started):
        store.import_from(artifact, lambda: io.BytesIO(content), lambda _: None)
        with store._work_on(artifact):
            for _ in range(5):
                try:
                    async with asyncio.timeout(0.01):
                        await shelf.layer(artifact.sha256)
                except TimeoutError:
                    pass
            assert started() == 1
        assert await shelf.layer(artifact.sha256) == store.layer(artifact.sha256)


@pytest.mark.parametrize("arriving", [True, False])
async def test_a_layer_is_not_proved_anew_for_everybody_who_asks(
    tmp_path: Path, arriving: bool
) -> None:
    """Nobody can keep the processor busy by asking again and again."""
    content = payload(SIZE)
    artifact = signed(content)
    async with served(tmp_path) as (shelf, store, started):
        directory = store.place(artifact)
        (directory / artifact.pieces_root).write_bytes(content)
        keep_layer(layer_of_file(artifact, directory), directory)
        if not arriving:
            store.verify(artifact)
        layer = await shelf.layer(artifact.sha256)
        assert layer
        (directory / f"{artifact.pieces_root}{SUFFIX}").unlink()
        for _ in range(50):
            assert await shelf.layer(artifact.sha256) is layer
        assert started() == 1


async def test_a_layer_that_cannot_be_read_is_not_served(tmp_path: Path) -> None:
    content = payload(SIZE)
    artifact = signed(content)
    async with served(tmp_path) as (shelf, store, _):
        directory = store.import_from(artifact, lambda: io.BytesIO(content), lambda _: None)
        (directory / artifact.pieces_root).unlink()
        (directory / artifact.pieces_root).mkdir()
        assert await shelf.layer(Sha256(artifact.sha256)) is None


@pytest.mark.parametrize("role", [Role.PEER, Role.LEECH])
async def test_parts_of_what_arrives_are_served_as_soon_as_they_are_there(
    tmp_path: Path, role: Role
) -> None:
    artifact, path = signed(payload(SIZE)), tmp_path / "arriving"
    here = [False] * artifact.pieces
    store = DiskStore(tmp_path / "store", StoreSettings(reserve=Bytes(0)))
    arrivals = Arrivals()
    arrival = arrivals[artifact.sha256] = Arrival(artifact, path, b"layer", here)
    async with asyncio.TaskGroup() as group:
        shelf = Served(store, role, Tasks(group), arrivals, nothing_here)
        assert await shelf.layer(artifact.sha256) == (b"layer" if role is Role.PEER else None)
        asking = group.create_task(shelf.artifact(artifact.sha256, (0, artifact.piece_length + 1)))
        too_long = group.create_task(shelf.artifact(artifact.sha256, (0, SIZE + 1)))
        assert await too_long is None
        if role is Role.LEECH:
            assert await asking is None
            return
        for piece in range(2):
            await eventually(lambda: arrival.asked_at)
            assert not asking.done()
            here[piece] = True
            arrival.changed()
        assert await asking == path
        waiting = group.create_task(shelf.artifact(artifact.sha256, (0, SIZE)))
        arrivals.clear()
        arrival.end()
        assert await waiting is None


async def test_who_is_being_sent_a_part_counts_as_asking(tmp_path: Path) -> None:
    artifact = signed(payload(SIZE))
    arrivals = Arrivals()
    async with asyncio.TaskGroup() as group:
        store = DiskStore(tmp_path / "store", StoreSettings(reserve=Bytes(0)))
        shelf = Served(store, Role.PEER, Tasks(group), arrivals, nothing_here)
        arrival = arrivals[artifact.sha256] = Arrival(artifact, tmp_path, b"", [True])
        assert arrival.asked_at == 0
        shelf.sent(artifact.sha256, 1)
        assert arrival.asked_at > 0
        assert shelf.handed_out(artifact.sha256) == 1


async def test_proved_parts_and_the_layer_of_what_is_fetched_are_served(tmp_path: Path) -> None:
    content = payload(SIZE)
    artifact = signed(content)
    here = [True, True, False] + [False] * (artifact.pieces - 3)

    async def holdings(_: Artifact) -> Holdings:
        return Holdings(here, (0,) * artifact.pieces)

    store = DiskStore(tmp_path / "store", StoreSettings(reserve=Bytes(0)))
    directory = store.place(artifact)
    async with asyncio.TaskGroup() as group:
        shelf = Served(store, Role.PEER, Tasks(group), Arrivals(), holdings)
        leech = Served(store, Role.LEECH, Tasks(group), Arrivals(), holdings)
        layer = PieceLayer.proved(artifact, layer_of(content))
        keep_layer(layer, directory)
        assert await shelf.layer(artifact.sha256) == layer.hashes
        assert await leech.layer(artifact.sha256) is None
        size = artifact.piece_length
        path = directory / artifact.pieces_root
        assert await shelf.artifact(artifact.sha256) is None
        assert await shelf.artifact(artifact.sha256, (0, 2 * size)) is None
        path.write_bytes(content[:size])
        assert await shelf.artifact(artifact.sha256, (0, 2 * size)) is None
        path.write_bytes(content)
        assert await shelf.artifact(artifact.sha256, (0, 2 * size)) == path
        for part in [(0, 2 * size + 1), (2 * size, 1), (SIZE, 1), (0, 0)]:
            assert await shelf.artifact(artifact.sha256, part) is None
        assert await leech.artifact(artifact.sha256, (0, size)) is None
