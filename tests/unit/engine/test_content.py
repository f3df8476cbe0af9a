"""Bytes come from whatever has them; what fails is laid to whom it belongs."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from p2pupd.core.allowance import Allowance
from p2pupd.engine.content import Content
from p2pupd.engine.tasks import Tasks
from p2pupd.engine.transfers import Transfer, TransferState
from p2pupd.errors import SourceGone, SpaceError
from p2pupd.feeds.interface import Offer
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Release
from p2pupd.model.setting import Bytes
from p2pupd.store.disk import DiskStore
from p2pupd.store.settings import StoreSettings
from scenarios.lib.disk import small_disk
from tests.builders import a_release
from tests.contents import artifact_of, layer_of, payload
from tests.http_swarming import express_party
from tests.support import eventually, needs_root
from tests.swarming import Member, introduce, member
from tests.unit.engine.test_supplying import FarAway

MIB = 1 << 20
CONTENT = payload(6 * MIB + 7)
ARTIFACT = artifact_of(CONTENT)
RELEASE = replace(a_release(), artifact=ARTIFACT)
STICK = "usb:/media/stick"
SLOW = Allowance(upload=MIB)


@dataclass
class Place:
    """A device's content; `notes` are the names of what was noted."""

    content: Content
    member: Member
    store: DiskStore
    notes: list[str] = field(default_factory=list)

    @property
    def stored(self) -> bytes:
        found = self.store.find(ARTIFACT.sha256)
        assert found
        assert found.verified
        return found.path.read_bytes()

    async def transfer(self) -> Transfer:
        """The newest one, once there is one."""
        return (await eventually(self.content.transfers))[-1]


@asynccontextmanager
async def place(directory: Path) -> AsyncIterator[Place]:
    notes: list[str] = []

    def note(event: str, **_: str) -> None:
        notes.append(event)

    async with member(directory / "session") as one, asyncio.TaskGroup() as group:
        store = DiskStore(directory, StoreSettings(reserve=Bytes(0)))
        content = Content(store, one.swarm, Tasks(group), note, own=DeviceId("me"))
        yield Place(content, one, store, notes)


class Pulled(io.BytesIO):
    """A file on a stick that is pulled when so much was read of it."""

    def __init__(self, content: bytes, after: int) -> None:
        super().__init__(content)
        self._after = after

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self._after:
            raise SourceGone("the stick was pulled")
        return super().read(size)


def a_stick(content: bytes = CONTENT, pulled_after: int = 1 << 62) -> Offer:
    def layer(_: Release) -> bytes:
        return layer_of(CONTENT)

    return Offer(STICK, b"", lambda _: Pulled(content, pulled_after), layer)


@asynccontextmanager
async def seed(directory: Path) -> AsyncIterator[Member]:
    async with member(directory, seed=True) as one:
        (directory / ARTIFACT.pieces_root).write_bytes(CONTENT)
        await one.swarm.share(ARTIFACT, directory)
        yield one


async def test_what_was_interrupted_stays_so_until_neighbours_bring_bytes(tmp_path: Path) -> None:
    """One that is connected, and only takes, brings none."""
    async with place(tmp_path / "a") as here, member(tmp_path / "b") as taker:
        introduce(here.member, taker)
        async with asyncio.TaskGroup() as group:
            group.create_task(taker.fetch(ARTIFACT))
            here.content.source_came(a_stick(pulled_after=2 * MIB))
            group.create_task(here.content.ensure(RELEASE))
            transfer = await here.transfer()
            await eventually(lambda: transfer.state is TransferState.INTERRUPTED)
            await eventually(lambda: here.member.swarm.counts(ARTIFACT).sent >= 2 * MIB)
            assert [transfer.state] == [TransferState.INTERRUPTED]
            assert "source.gone" in here.notes
            async with seed(tmp_path / "s") as other:
                other.swarm.limit(SLOW)
                introduce(here.member, taker, other)
                await eventually(lambda: transfer.progress.done > 2 * MIB)
                assert [transfer.state, transfer.source] == [TransferState.FETCHING, "lan"]
                other.swarm.limit(Allowance())
                await eventually(lambda: transfer.state is TransferState.COMPLETE, within=20)
        assert here.stored == CONTENT
        counts = here.content.counts(ARTIFACT)
        assert counts.usb == 2 * MIB
        assert counts.lan == ARTIFACT.length - counts.usb


async def test_a_stick_that_is_back_brings_only_what_it_had_not(tmp_path: Path) -> None:
    async with place(tmp_path) as here, asyncio.TaskGroup() as group:
        here.content.source_came(a_stick(pulled_after=2 * MIB))
        group.create_task(here.content.ensure(RELEASE))
        transfer = await here.transfer()
        await eventually(lambda: transfer.state is TransferState.INTERRUPTED)
        spoiled = bytes(2 * MIB) + CONTENT[2 * MIB :]
        here.content.source_came(a_stick(spoiled))
        await eventually(lambda: transfer.state is TransferState.COMPLETE)
        assert here.stored == CONTENT
        assert here.content.counts(ARTIFACT).usb == ARTIFACT.length
        assert "source.refused" not in here.notes


async def test_what_a_lying_stick_had_right_stays_and_neighbours_bring_the_rest(
    tmp_path: Path,
) -> None:
    wrong = CONTENT[: 3 * MIB] + b"?" + CONTENT[3 * MIB + 1 :]
    async with place(tmp_path / "a") as here, asyncio.TaskGroup() as group:
        here.content.source_came(a_stick(wrong))
        group.create_task(here.content.ensure(RELEASE))
        transfer = await here.transfer()
        await eventually(lambda: "source.refused" in here.notes)
        assert list(transfer.refused) == [STICK]
        async with seed(tmp_path / "s") as other:
            other.swarm.limit(SLOW)
            introduce(here.member, other)
            await eventually(lambda: transfer.progress.counts.lan > 0)
            assert [transfer.state, transfer.source] == [TransferState.FETCHING, "lan"]
            other.swarm.limit(Allowance())
            await eventually(lambda: transfer.state is TransferState.COMPLETE, within=20)
        assert here.stored == CONTENT
        counts = here.content.counts(ARTIFACT)
        assert counts.usb == 3 * MIB
        assert counts.lan == ARTIFACT.length - counts.usb
        assert here.notes.count("source.refused") == 1


@needs_root
async def test_a_full_disk_here_is_not_laid_to_the_stick(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8 * MIB) as disk:
        async with place(disk) as here:
            logs = disk / "somebody-elses-logs"
            stick = a_stick()

            def fills(release: Release) -> Pulled:
                logs.write_bytes(bytes(5 * MIB))
                return Pulled(CONTENT, 1 << 62)

            here.content.source_came(replace(stick, open_content=fills))
            with pytest.raises(SpaceError):
                await here.content.ensure(RELEASE)
            transfer = await here.transfer()
            assert transfer.state is TransferState.FAILED
            assert transfer.refused == {}
            assert "source.refused" not in here.notes
            logs.unlink()
            here.content.source_came(stick)
            await here.content.ensure(RELEASE)
            assert here.stored == CONTENT
            assert here.content.counts(ARTIFACT).usb == ARTIFACT.length


async def test_a_damaged_stick_without_a_layer_costs_nobody_elses_pieces(tmp_path: Path) -> None:
    notes: list[str] = []

    def note(event: str, **_: str) -> None:
        notes.append(event)

    store = DiskStore(tmp_path / "store", StoreSettings(reserve=Bytes(0)))
    async with express_party(tmp_path / "session") as here, asyncio.TaskGroup() as group:
        content = Content(store, here.swarm, Tasks(group), note, own=DeviceId("me"))
        content.source_came(a_stick(pulled_after=2 * MIB))
        group.create_task(content.ensure(RELEASE))
        (transfer,) = await eventually(content.transfers)
        await eventually(lambda: transfer.state is TransferState.INTERRUPTED)
        damaged = replace(a_stick(bytes(len(CONTENT))), source="usb:/media/old", open_layer=None)
        content.source_came(damaged)
        await eventually(lambda: "source.refused" in notes)
        async with seed(tmp_path / "s") as other:
            here.swarm.set_peers([other.peer])
            await eventually(lambda: transfer.state is TransferState.COMPLETE, within=20)
        counts = content.counts(ARTIFACT)
        assert (counts.usb, counts.lan) == (2 * MIB, ARTIFACT.length - 2 * MIB)


async def test_an_uplink_without_a_layer_brings_nothing_while_nothing_may_move(
    tmp_path: Path,
) -> None:
    allowed = False
    far = FarAway(CONTENT)
    store = DiskStore(tmp_path / "store", StoreSettings(reserve=Bytes(0)))
    async with member(tmp_path / "session") as here, asyncio.TaskGroup() as group:
        content = Content(
            store,
            here.swarm,
            Tasks(group),
            lambda _event, **_: None,
            own=DeviceId("me"),
            moves=lambda _: allowed,
        )
        content.source_came(Offer("uplink:far", b"", remote=far))
        for _ in range(2):
            wanting = group.create_task(content.ensure(RELEASE))
            await eventually(lambda: content.transfers() and content.transfers()[-1].whole)
            await asyncio.wait([wanting], timeout=0.6)
            assert far.asked == []
            wanting.cancel()
            await asyncio.wait([wanting])
        allowed = True
        await content.ensure(RELEASE)
        assert content.counts(ARTIFACT).uplink == ARTIFACT.length
