"""Sticks and uplinks put pieces into the swarm, each proved, and only those that are missing."""

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from p2pupd.core.piece_layer import PieceLayer
from p2pupd.engine.supplying import CLAIMED_FOR, NotTheSource, RemoteFile, Supplier, _Claims
from p2pupd.errors import ContentError, FetchError, SourceGone
from p2pupd.model.device import ByteCounts
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact, Release
from p2pupd.swarm.interface import Holdings, Injected
from p2pupd.swarm.session import LibtorrentSwarm
from tests.builders import a_release
from tests.contents import PIECE, artifact_of, layer_of
from tests.support import eventually
from tests.swarming import introduce, member

CONTENT = bytes(range(256)) * (64 * 400) + b"the end"


def a_supplied_release() -> tuple[Release, PieceLayer]:
    artifact = artifact_of(CONTENT)
    return replace(a_release(), artifact=artifact), PieceLayer.proved(artifact, layer_of(CONTENT))


@dataclass
class FarAway:
    """A source far away; `asked` are the parts that were read of it."""

    content: bytes = CONTENT
    raw_layer: bytes | None = None
    ends_after: int = 1 << 62
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def layer(self, release: Release) -> bytes | None:
        return self.raw_layer

    async def read(self, release: Release, start: int, count: int) -> bytes:
        self.asked.append((start, count))
        if start + count > self.ends_after:
            raise SourceGone("the uplink is down")
        return self.content[start : start + count]


def supplier(swarm: object, *others: str) -> Supplier:
    return Supplier(swarm, DeviceId("alice"), lambda: [DeviceId(each) for each in others])  # type: ignore[arg-type]


async def test_a_stick_puts_in_what_is_missing_and_no_more(tmp_path: Path) -> None:
    release, layer = a_supplied_release()
    artifact = release.artifact
    async with member(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
        await alice.swarm.supply(artifact, alice.directory, layer)
        fetching = group.create_task(alice.fetch(artifact))
        await alice.swarm.inject(artifact, 3, CONTENT[3 * PIECE : 4 * PIECE], Injected.UPLINK)
        await supplier(alice.swarm).from_stick(release, layer, lambda _: io.BytesIO(CONTENT))
        await fetching
        assert alice.content(artifact) == CONTENT
        assert alice.swarm.counts(artifact) == ByteCounts(usb=len(CONTENT) - PIECE, uplink=PIECE)


async def test_a_stick_with_a_wrong_piece_is_told_and_the_right_ones_stay(tmp_path: Path) -> None:
    release, layer = a_supplied_release()
    wrong = CONTENT[: 100 * PIECE] + b"x" + CONTENT[100 * PIECE + 1 :]
    async with member(tmp_path / "a") as alice:
        await alice.swarm.supply(release.artifact, alice.directory, layer)
        with pytest.raises(ContentError, match="piece 100 of the source is not the signed one"):
            await supplier(alice.swarm).from_stick(release, layer, lambda _: io.BytesIO(wrong))


async def test_two_uplinks_bring_each_byte_once(tmp_path: Path) -> None:
    release, layer = a_supplied_release()
    artifact = release.artifact
    lines = [FarAway(), FarAway()]
    async with member(tmp_path / "a") as alice, member(tmp_path / "b") as bob:
        names = ("alice", "bob")
        introduce(alice, bob)
        async with asyncio.TaskGroup() as group:
            for one, line, own, other in zip((alice, bob), lines, names, names[::-1], strict=True):
                await one.swarm.supply(artifact, one.directory, layer)
                group.create_task(one.fetch(artifact))
                work = Supplier(one.swarm, DeviceId(own), lambda other=other: [DeviceId(other)])  # type: ignore[misc]
                group.create_task(work.from_uplink(release, layer, line))
        assert alice.content(artifact) == bob.content(artifact) == CONTENT
    brought = [sum(count for _, count in line.asked) for line in lines]
    assert sum(brought) <= 1.05 * len(CONTENT)
    assert min(brought) > 0.2 * len(CONTENT)


async def test_an_uplink_that_goes_away_is_told(tmp_path: Path) -> None:
    release, layer = a_supplied_release()
    async with member(tmp_path / "a") as alice:
        await alice.swarm.supply(release.artifact, alice.directory, layer)
        with pytest.raises(SourceGone, match="the uplink is down"):
            await supplier(alice.swarm).from_uplink(release, layer, FarAway(ends_after=PIECE))


@pytest.mark.parametrize("raw", [None, b"", b"x" * 20000])
async def test_a_source_without_a_right_layer_knows_no_pieces(raw: bytes | None) -> None:
    release, _ = a_supplied_release()
    assert await supplier(None).layer_of(release, None, FarAway(raw_layer=raw)) is None
    assert await supplier(None).layer_of(release, lambda _: raw, None) is None


async def test_a_right_layer_is_proved() -> None:
    release, layer = a_supplied_release()
    found: Sequence[PieceLayer | None] = [
        await supplier(None).layer_of(release, lambda _: layer.hashes, None),
        await supplier(None).layer_of(release, None, FarAway(raw_layer=layer.hashes)),
        await supplier(None).layer_of(release, lambda _: b"x" * len(layer.hashes), None),
        await supplier(None).layer_of(release, None, None),
    ]
    assert found == [layer, layer, None, None]


async def test_a_target_far_away_reads_like_a_file() -> None:
    release, _ = a_supplied_release()
    far = FarAway()
    file = io.BufferedReader(RemoteFile(release, far, asyncio.get_running_loop()), 1 << 20)
    assert await asyncio.to_thread(file.read) == CONTENT
    assert (
        await asyncio.to_thread(lambda: (file.seek(-7, io.SEEK_END), file.read())[1]) == b"the end"
    )
    assert max(count for _, count in far.asked) <= 1 << 20


@dataclass
class Lossy:
    """The real swarm behind it, but each of the pieces `lost` does not arrive the first time."""

    swarm: LibtorrentSwarm
    lost: set[int]

    async def holdings(self, artifact: Artifact) -> Holdings:
        return await self.swarm.holdings(artifact)

    async def inject(self, artifact: Artifact, piece: int, content: bytes, by: Injected) -> None:
        if piece in self.lost:
            self.lost.remove(piece)
        else:
            await self.swarm.inject(artifact, piece, content, by)


async def test_a_piece_of_a_stick_that_did_not_stay_is_read_once_more(tmp_path: Path) -> None:
    release, layer = a_supplied_release()
    artifact = release.artifact
    async with member(tmp_path / "a") as alice:
        await alice.swarm.supply(artifact, alice.directory, layer)
        lossy = Lossy(alice.swarm, {0, 200, artifact.pieces - 1})
        await supplier(lossy).from_stick(release, layer, lambda _: io.BytesIO(CONTENT))
        assert all((await alice.swarm.holdings(artifact)).here)
        await eventually(lambda: alice.swarm.counts(artifact).usb == len(CONTENT))


async def test_what_an_uplink_brought_counts_as_under_way_for_a_while(tmp_path: Path) -> None:
    claims, loop = _Claims(), asyncio.get_running_loop()
    with claims.of(range(3, 5)):
        assert claims.now(loop.time() + 1e6) == {3, 4}
    assert claims.now(loop.time() + 0.9 * CLAIMED_FOR) == {3, 4}
    assert claims.now(loop.time() + CLAIMED_FOR) == set()


async def test_an_uplink_is_asked_for_nothing_while_payload_may_not_move(tmp_path: Path) -> None:
    release, layer = a_supplied_release()
    artifact, far = release.artifact, FarAway()
    asked: list[str] = []
    stopped = True

    def moves(root: str) -> bool:
        asked.append(root)
        return not stopped

    async with member(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
        await alice.swarm.supply(artifact, alice.directory, layer)
        work = Supplier(alice.swarm, DeviceId("alice"), lambda: (), moves)
        bringing = group.create_task(work.from_uplink(release, layer, far))
        await eventually(lambda: len(asked) >= 6)
        assert set(asked) == {artifact.pieces_root}
        assert far.asked == []
        stopped = False
        await bringing
        assert sum(count for _, count in far.asked) == len(CONTENT)


async def test_a_swarm_that_takes_nothing_more_is_no_fault_of_the_source(tmp_path: Path) -> None:
    release, layer = a_supplied_release()

    class Dropping(FarAway):
        async def read(self, release: Release, start: int, count: int) -> bytes:
            await alice.swarm.drop(release.artifact)
            return await super().read(release, start, count)

    async with member(tmp_path / "a") as alice:
        with pytest.raises(NotTheSource, match="not supplied any more") as caught:
            await supplier(alice.swarm).from_stick(release, layer, lambda _: io.BytesIO(CONTENT))
        assert isinstance(caught.value.error, FetchError)
        await alice.swarm.supply(release.artifact, alice.directory, layer)
        with pytest.raises(NotTheSource, match="not supplied any more"):
            await supplier(alice.swarm).from_uplink(release, layer, Dropping())
