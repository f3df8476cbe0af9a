"""Pieces by HTTP from real peer APIs, some of which do not behave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from p2pupd.errors import FetchError, NeighbourBusy, SpaceError
from p2pupd.feeds.peer_client import PeerClient
from p2pupd.host.layer_files import layer_of_file
from p2pupd.model.ids import DeviceId, Sha256
from p2pupd.model.release import Artifact
from p2pupd.swarm.interface import SwarmPeer
from p2pupd.swarm.over_http import BURST, LARGEST, RATE, HttpPieces, _Source
from tests.http_swarming import BLOCK_FOR, CLIENT, Shelf, serving
from tests.support import eventually
from tests.swarming import an_address, an_artifact

MIB = 1 << 20


@dataclass
class Receiver:
    """Where pieces go. `ranges` are the (host, first byte, count) that were asked for."""

    artifact: Artifact
    pieces: HttpPieces
    got: dict[int, bytes] = field(default_factory=dict)
    ranges: list[tuple[str, int, int]] = field(default_factory=list)
    most_at_once: int = 0

    def missing(self) -> list[int]:
        return [each for each in range(self.artifact.pieces) if each not in self.got]

    async def put(self, piece: int, content: bytes) -> None:
        assert piece not in self.got
        self.got[piece] = content

    async def bring(self) -> bytes:
        await self.pieces.bring(self.artifact, None, self.missing, self.put)
        return b"".join(self.got[piece] for piece in range(self.artifact.pieces))


@asynccontextmanager
async def receiver(artifact: Artifact, chance: float = 0.0) -> AsyncIterator[Receiver]:
    async with PeerClient(CLIENT, an_address()) as client:
        running = 0

        async def ask_range(
            host: str, port: int, sha256: Sha256, start: int, count: int
        ) -> bytearray:
            nonlocal running
            made.ranges.append((host, start, count))
            running += 1
            made.most_at_once = max(made.most_at_once, running)
            try:
                return await client.artifact_range(host, port, sha256, start, count)
            finally:
                running -= 1

        pieces = HttpPieces(client.layer, ask_range, BLOCK_FOR, lambda: chance)
        made = Receiver(artifact, pieces)
        yield made


@asynccontextmanager
async def shelves(number: int) -> AsyncIterator[list[tuple[Shelf, SwarmPeer]]]:
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(number):
            shelf = Shelf()
            made.append((shelf, await stack.enter_async_context(serving(shelf))))
        yield made


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.99])
async def test_every_piece_is_asked_for_once_two_ranges_at_a_time(
    tmp_path: Path, chance: float
) -> None:
    artifact, content = an_artifact(tmp_path, 8 * MIB + 5)
    async with shelves(2) as made, receiver(artifact, chance) as taker:
        for shelf, _ in made:
            shelf.add(artifact, tmp_path)
        taker.pieces.set_peers([peer for _, peer in made])
        assert await taker.bring() == content
        assert taker.most_at_once == 2
        assert sum(count for _, _, count in taker.ranges) == artifact.length
        assert {host for host, _, _ in taker.ranges} == {peer.host for _, peer in made}
        assert max(count for _, _, count in taker.ranges) == LARGEST
        assert taker.pieces.sources(artifact) == taker.pieces.wasted(artifact) == 0


async def test_a_neighbour_that_lies_about_pieces_is_not_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path, 4 * MIB)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / artifact.pieces_root).write_bytes(content[:16384] + bytes(4 * MIB - 16384))
    async with shelves(1) as lying, receiver(artifact) as taker:
        liar, peer = lying[0]
        liar.add(artifact, tmp_path / "bad", honest=tmp_path)
        async with asyncio.TaskGroup() as group:
            bringing = group.create_task(taker.bring())
            taker.pieces.set_peers([peer])
            await eventually(lambda: taker.pieces.blocked == {peer.host})
            assert f"swarm.blocked host={peer.host}" in caplog.text
            async with shelves(1) as honest:
                honest[0][0].add(artifact, tmp_path)
                taker.pieces.set_peers([peer, honest[0][1]])
                assert await bringing == content
        assert len([host for host, _, _ in taker.ranges if host == peer.host]) <= 2
        assert taker.pieces.wasted(artifact) > 0


async def test_a_neighbour_with_a_wrong_layer_is_blocked_and_another_is_asked(
    tmp_path: Path,
) -> None:
    artifact, content = an_artifact(tmp_path, MIB)
    async with shelves(2) as made, receiver(artifact) as taker:
        (liar, wrong), (honest, right) = made
        liar.add(artifact, tmp_path)
        liar.layers[artifact.sha256] = bytes(len(liar.layers[artifact.sha256]))
        honest.add(artifact, tmp_path)
        taker.pieces.set_peers([wrong])
        async with asyncio.TaskGroup() as group:
            bringing = group.create_task(taker.bring())
            await eventually(lambda: wrong.host in taker.pieces.blocked)
            taker.pieces.set_peers([wrong, right])
            assert await bringing == content
        assert {host for host, _, _ in taker.ranges} == {right.host}


async def test_a_neighbour_that_does_not_have_it_is_left_alone_while_another_delivers(
    tmp_path: Path,
) -> None:
    artifact, content = an_artifact(tmp_path, 4 * MIB)
    async with shelves(2) as made, receiver(artifact) as taker:
        made[1][0].add(artifact, tmp_path)
        taker.pieces.set_peers([peer for _, peer in made])
        assert await taker.bring() == content
        assert len([host for host, _, _ in taker.ranges if host == made[0][1].host]) <= 4


async def test_a_neighbour_that_gets_the_artifact_later_is_asked_again(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path, MIB)
    async with shelves(1) as made, receiver(artifact) as taker:
        shelf, peer = made[0]
        taker.pieces.set_peers([peer])
        async with asyncio.TaskGroup() as group:
            bringing = group.create_task(taker.bring())
            await eventually(lambda: shelf.asked_layers)
            shelf.add(artifact, tmp_path)
            assert await bringing == content


async def test_a_neighbour_that_left_is_replaced_by_one_that_comes(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path, 4 * MIB)
    async with receiver(artifact) as taker, asyncio.TaskGroup() as group:
        bringing = group.create_task(taker.bring())
        async with shelves(1) as first:
            shelf, peer = first[0]
            shelf.add(artifact, tmp_path)
            taker.pieces.set_peers([replace(peer, api_port=0)])
            taker.pieces.set_peers([peer])
            await eventually(lambda: len(taker.got) > 10)
            taker.pieces.set_peers([])
        async with shelves(1) as second:
            second[0][0].add(artifact, tmp_path)
            taker.pieces.set_peers([second[0][1]])
            assert await bringing == content


async def test_a_failure_to_put_ends_it_and_is_nobody_elses_fault(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path, MIB)
    layer = layer_of_file(artifact, tmp_path)

    async def full(_piece: int, _content: bytes) -> None:
        raise SpaceError("no room")

    async with shelves(1) as made, receiver(artifact) as taker:
        made[0][0].add(artifact, tmp_path)
        taker.pieces.set_peers([made[0][1]])
        with pytest.raises(SpaceError, match="no room"):
            await taker.pieces.bring(artifact, layer, taker.missing, full)
        assert taker.pieces.blocked == frozenset()


async def test_a_busy_neighbour_is_asked_when_it_said(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path, MIB)
    layer = layer_of_file(artifact, tmp_path)
    asked: list[float] = []
    now = asyncio.get_running_loop().time

    async def ask_layer(*_: object) -> bytes:
        raise FetchError("not needed")

    async def ask_range(_h: str, _p: int, _s: Sha256, start: int, count: int) -> bytes:
        asked.append(now())
        if len(asked) <= 2:
            raise NeighbourBusy("busy", 0.2)
        return content[start : start + count]

    pieces = HttpPieces(ask_layer, ask_range, BLOCK_FOR)
    pieces.set_peers([SwarmPeer(DeviceId("d"), "host", 0, False, 1)])
    taker = Receiver(artifact, pieces)
    await pieces.bring(artifact, layer, taker.missing, taker.put)
    assert len(taker.got) == artifact.pieces
    assert asked[2] - asked[1] >= 0.19


def test_a_slow_link_gets_smaller_ranges_and_a_quick_one_larger_up_to_a_limit() -> None:
    source = _Source(SwarmPeer(DeviceId("d"), "host", 0, False, 1))
    sizes = []
    for seconds in (0.1, 2.0, 5.0, 5.0, 5.0, *[0.1] * 10):
        source.took(seconds)
        sizes.append(source.size // 1024)
    assert sizes[:6] == [128, 128, 64, 32, 16, 32]
    assert sizes[-1] == LARGEST // 1024


async def test_a_neighbour_is_not_asked_so_often_that_it_refuses_other_questions(
    tmp_path: Path,
) -> None:
    artifact, content = an_artifact(tmp_path, 40 * MIB)
    layer = layer_of_file(artifact, tmp_path)
    now = asyncio.get_running_loop().time
    asked = 0

    async def ask_layer(*_: object) -> bytes:
        raise FetchError("not needed")

    async def ask_range(_h: str, _p: int, _s: Sha256, start: int, count: int) -> bytes:
        nonlocal asked
        asked += 1
        return content[start : start + count]

    began = now()
    pieces = HttpPieces(ask_layer, ask_range, BLOCK_FOR)
    pieces.set_peers([SwarmPeer(DeviceId("d"), "host", 0, False, 1)])
    taker = Receiver(artifact, pieces)
    await pieces.bring(artifact, layer, taker.missing, taker.put)
    assert len(taker.got) == artifact.pieces
    assert BURST < asked <= BURST + RATE * (now() - began) + 1


def test_the_quickest_of_the_least_busy_is_asked_first() -> None:
    slow, quick, failing = (_Source(SwarmPeer(DeviceId(each), each, 0, False, 1)) for each in "abc")
    slow.took(5)
    quick.took(0.1)
    failing.took(0.1)
    failing.failed(FetchError("gone"), now=0, chance=0)
    assert sorted([slow, failing, quick], key=lambda each: each.merit) == [quick, slow, failing]
    quick.running = 1
    assert min([slow, quick], key=lambda each: each.merit) is slow
