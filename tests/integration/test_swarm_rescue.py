"""Transfers that stand still in BitTorrent, and neighbours whose peer API works."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.core.allowance import Allowance
from p2pupd.errors import FetchError
from p2pupd.feeds.peer_client import PeerClient
from p2pupd.host.layer_files import layer_of_file
from p2pupd.model.release import Artifact
from p2pupd.model.setting import Seconds
from p2pupd.swarm.interface import Injected, SwarmPeer
from p2pupd.swarm.over_http import HttpPieces
from p2pupd.swarm.settings import SwarmSettings
from tests.http_swarming import BLOCK_FOR, CLIENT, Shelf, serving
from tests.support import eventually
from tests.swarming import Member, an_address, an_artifact, bare_peer, member

MIB = 1 << 20
pytestmark = pytest.mark.usefixtures("everything_logged")
SLOW = Allowance(download=MIB)


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@asynccontextmanager
async def helped(directory: Path) -> AsyncIterator[Member]:
    """A device with BitTorrent that may ask for pieces by HTTP."""
    address = an_address()
    settings = SwarmSettings(interfaces=(address,), stall_after=Seconds(0.5))
    async with PeerClient(CLIENT, address) as client:
        pieces = HttpPieces(client.layer, client.artifact_range, BLOCK_FOR)
        async with member(directory, settings, address=address, pieces=pieces) as made:
            yield made


@asynccontextmanager
async def mute(shelf: Shelf) -> AsyncIterator[SwarmPeer]:
    """A neighbour whose BitTorrent port takes calls and never answers; its peer API works."""
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(serving(shelf))
        calls: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _, writer: calls.append(writer), peer.host)
        stack.push_async_callback(server.wait_closed)
        stack.callback(server.close)
        yield replace(peer, port=server.sockets[0].getsockname()[1])
        for call in calls:
            call.close()


def on_shelf(artifact: Artifact, directory: Path) -> Shelf:
    shelf = Shelf()
    shelf.add(artifact, directory)
    return shelf


def received(one: Member, artifact: Artifact) -> int:
    return one.swarm.counts(artifact).received


async def test_what_stands_still_since_bittorrent_is_blocked_comes_by_http(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 4 * MIB + 5)
    shelf = on_shelf(artifact, tmp_path / "seed")
    async with mute(shelf) as peer, helped(tmp_path / "a") as alice:
        alice.swarm.set_peers([peer])
        assert await alice.fetch(artifact) == artifact.length
        assert alice.content(artifact) == content
        counts = alice.swarm.counts(artifact)
        assert (counts.lan, counts.received) == (artifact.length, artifact.length)
        assert "swarm.started-over" in caplog.text
        await eventually(lambda: "swarm.rescue-ended" in caplog.text)
        assert "swarm.rescue-interrupted" not in caplog.text


async def test_what_only_a_device_without_bittorrent_has_comes_by_http(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    shelf = on_shelf(artifact, tmp_path / "seed")
    async with serving(shelf) as peer, helped(tmp_path / "a") as alice:
        alice.swarm.set_peers([peer])
        await alice.fetch(artifact)
        assert alice.content(artifact) == content


@pytest.mark.parametrize("piece_length", [16384, 65536])
async def test_a_liar_with_bittorrent_cannot_stop_what_an_honest_one_gives_by_http(
    tmp_path: Path, piece_length: int
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB, piece_length)
    (tmp_path / "liar").mkdir()
    wrong = bytes(byte ^ 0xFF for byte in content)
    (tmp_path / "liar" / artifact.pieces_root).write_bytes(wrong)
    shelf = on_shelf(artifact, tmp_path / "seed")
    with bare_peer(artifact, tmp_path / "liar", tree_from=tmp_path / "seed") as liar:
        async with mute(shelf) as peer, helped(tmp_path / "a") as alice:
            alice.swarm.set_peers([liar.peer, peer])
            await alice.fetch(artifact)
            assert alice.content(artifact) == content
            assert alice.swarm.counts(artifact).wasted > 0


async def test_bittorrent_takes_over_again_once_it_brings_pieces(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 8 * MIB)
    shelf = on_shelf(artifact, tmp_path / "seed")
    async with (
        mute(shelf) as peer,
        member(tmp_path / "seed", seed=True) as seed,
        helped(tmp_path / "a") as alice,
        asyncio.TaskGroup() as group,
    ):
        await seed.swarm.share(artifact, seed.directory)
        alice.swarm.limit(SLOW)
        alice.swarm.set_peers([peer])
        fetching = group.create_task(alice.fetch(artifact))
        await eventually(lambda: received(alice, artifact) > 0)
        alice.swarm.set_peers([peer, seed.peer])
        await eventually(lambda: "swarm.rescue-ended" in caplog.text)
        assert not fetching.done()
        transfer = alice.swarm._torrents.get(artifact.pieces_root)
        assert transfer
        alice.swarm.limit(Allowance())
        await fetching
        assert 0 < transfer.rescued < artifact.length
        assert alice.content(artifact) == content


async def test_help_stops_with_the_line_and_goes_on_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 4 * MIB)
    async with (
        mute(on_shelf(artifact, tmp_path / "seed")) as peer,
        helped(tmp_path / "a") as alice,
        asyncio.TaskGroup() as group,
    ):
        alice.swarm.limit(SLOW)
        alice.swarm.set_peers([peer])
        fetching = group.create_task(alice.fetch(artifact))
        await eventually(lambda: received(alice, artifact) > 0)
        alice.swarm.limit(Allowance(moving=False))
        await eventually(lambda: "swarm.rescue-ended" in caplog.text)
        assert not fetching.done()
        alice.swarm.limit(Allowance())
        await fetching
        assert alice.content(artifact) == content


async def test_what_is_dropped_is_helped_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", 4 * MIB)
    async with (
        mute(on_shelf(artifact, tmp_path / "seed")) as peer,
        helped(tmp_path / "a") as alice,
        asyncio.TaskGroup() as group,
    ):
        alice.swarm.limit(SLOW)
        alice.swarm.set_peers([peer])
        fetching = group.create_task(failed(alice, artifact))
        await eventually(lambda: received(alice, artifact) > 0)
        await alice.swarm.drop(artifact)
        assert await fetching == "dropped"
        await eventually(lambda: "swarm.rescue-ended" in caplog.text)
        assert received(alice, artifact) < artifact.length


async def failed(one: Member, artifact: Artifact) -> str:
    """Why it could not be fetched."""
    with pytest.raises(FetchError) as error:
        await one.fetch(artifact)
    return error.value.reason


async def test_a_supply_that_is_cancelled_in_the_middle_leaves_nobody_waiting(
    tmp_path: Path,
) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", MIB)
    layer = layer_of_file(artifact, tmp_path / "seed")
    async with member(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
        fetching = group.create_task(failed(alice, artifact))
        transfer = await eventually(lambda: alice.swarm._torrents.get(artifact.pieces_root))
        assert transfer
        await eventually(transfer.checked.is_set)
        supplying = group.create_task(alice.swarm.supply(artifact, alice.directory, layer))
        while transfer.handle is not None:
            await asyncio.sleep(0)
        supplying.cancel()
        assert await fetching == "stopped"


async def test_a_supply_that_is_cancelled_at_once_can_be_done_again(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    layer = layer_of_file(artifact, tmp_path / "seed")
    async with member(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
        fetching = group.create_task(alice.fetch(artifact))
        transfer = await eventually(lambda: alice.swarm._torrents.get(artifact.pieces_root))
        assert transfer
        await eventually(transfer.checked.is_set)
        supplying = group.create_task(alice.swarm.supply(artifact, alice.directory, layer))
        while transfer.checked.is_set():
            await asyncio.sleep(0)
        supplying.cancel()
        await asyncio.wait([supplying])
        await alice.swarm.supply(artifact, alice.directory, layer)
        size = artifact.piece_length
        for piece in range(artifact.pieces):
            part = content[piece * size : (piece + 1) * size]
            await alice.swarm.inject(artifact, piece, part, Injected.USB)
        await fetching
        assert alice.content(artifact) == content
