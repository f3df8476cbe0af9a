"""What may go wrong while BitTorrent is left out: neighbours, disks, and two things at once."""

import asyncio
import logging
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.errors import ContentError, FetchError
from p2pupd.host.layer_files import layer_of_file
from p2pupd.model.ids import DeviceId
from p2pupd.swarm.interface import Injected, SwarmPeer
from tests.expressing import (
    MIB,
    SIZE,
    fetched,
    inject,
    refused,
    seed_and_device,
    stick,
    supply,
)
from tests.http_swarming import Shelf, express_party, serving
from tests.support import eventually
from tests.swarming import an_address, an_artifact, member


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@asynccontextmanager
async def trickling(head: bytes, address: str = "") -> AsyncIterator[SwarmPeer]:
    """A neighbour that answers everything with `head`, then a byte each 50 ms. In `head` `{}` is
    the range that was asked for."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"bytes=([0-9-]+)", asked)
            writer.write(head.replace(b"{}", found[1] if found else b""))
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()

    address = address or an_address()
    server = await asyncio.start_server(answer, address, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield SwarmPeer(DeviceId(f"device-{address}"), address, 0, True, port)


async def test_a_piece_that_two_sources_bring_is_taken_once(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    async with seed_and_device(tmp_path) as (seed, _, group):
        importing = group.create_task(fetched(seed, artifact))
        await stick(seed, artifact, tmp_path / "stick", 0, 128)
        await inject(seed, artifact, tmp_path / "stick", range(100, 200), Injected.UPLINK)
        await stick(seed, artifact, tmp_path / "stick", 100, artifact.pieces)
        counts = await importing
        assert counts.usb + counts.uplink == SIZE
        assert counts.uplink == 72 * artifact.piece_length
        assert seed.content(artifact) == content


async def test_who_waits_for_the_file_hears_that_it_cannot_be_opened(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "stick", SIZE)
    async with express_party(tmp_path / "a", seed=True) as alice:
        await supply(alice, artifact, tmp_path / "stick")
        shutil.rmtree(alice.directory)
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            for at in (0, 64):
                work = inject(alice, artifact, tmp_path / "stick", range(at, at + 64))
                group.create_task(refused(work))


async def test_what_is_dropped_as_a_stick_begins_is_offered_to_nobody(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "stick", 2 * SIZE)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / artifact.pieces_root).write_bytes(content[:-1] + b"\0")
    async with express_party(tmp_path / "a", seed=True) as alice, asyncio.TaskGroup() as group:
        await supply(alice, artifact, tmp_path / "stick")
        work = group.create_task(refused(inject(alice, artifact, tmp_path / "stick", range(1))))
        await eventually((alice.directory / f"{artifact.pieces_root}.layer").exists)
        await alice.swarm.drop(artifact)
        await work
        assert alice.shelf
        assert not alice.shelf.arrivals


async def test_a_stick_and_a_fetch_that_begin_together_write_it_once(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    shutil.copytree(tmp_path / "stick", tmp_path / "seed")
    async with seed_and_device(tmp_path) as (seed, alice, group):
        await seed.offer(artifact)
        supplying = group.create_task(supply(alice, artifact, tmp_path / "stick"))
        await asyncio.sleep(0)
        fetching = group.create_task(fetched(alice, artifact))
        await supplying
        await inject(alice, artifact, tmp_path / "stick", range(artifact.pieces // 2))
        counts = await fetching
        assert counts.usb > 0
        assert counts.lan + counts.usb == SIZE
        assert counts.received <= SIZE
        assert alice.content(artifact) == content


async def test_two_sources_that_join_together_both_do(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    async with express_party(tmp_path / "a", seed=True) as alice, asyncio.TaskGroup() as group:
        await supply(alice, artifact, tmp_path / "stick")
        fetching = group.create_task(fetched(alice, artifact))
        uplink = group.create_task(supply(alice, artifact, tmp_path / "stick"))
        await inject(alice, artifact, tmp_path / "stick", range(artifact.pieces))
        await alice.swarm.holdings(artifact)
        await uplink
        assert (await fetching).usb == SIZE
        assert alice.content(artifact) == content


async def test_what_is_on_disk_is_known_before_anybody_is_told_what_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / artifact.pieces_root).write_bytes(content[: SIZE // 2])
    async with express_party(tmp_path / "a", seed=True) as alice, asyncio.TaskGroup() as group:
        await supply(alice, artifact, tmp_path / "stick")
        half = artifact.pieces // 2
        group.create_task(inject(alice, artifact, tmp_path / "stick", range(half, half + 1)))
        await eventually(lambda: "swarm.arriving" in caplog.text or alice.swarm.counts(artifact))
        for _ in range(20):
            held = await alice.swarm.holdings(artifact)
            assert not held.known or sum(held.here) >= half - 1
            await asyncio.sleep(0)


@pytest.mark.parametrize("what", ["layer", "range"])
async def test_a_neighbour_that_trickles_is_left_for_bittorrent(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", SIZE)
    length = 32 * artifact.pieces
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
    if what == "range":
        head = (
            f"HTTP/1.1 206 Partial Content\r\nContent-Length: {16 * MIB}\r\n"
            f"Content-Range: bytes {{}}/{SIZE}\r\n\r\n"
        )
        shutil.copytree(tmp_path / "seed", tmp_path / "a")
        (tmp_path / "a" / artifact.pieces_root).unlink()
        layer = layer_of_file(artifact, tmp_path / "seed").hashes
        (tmp_path / "a" / f"{artifact.pieces_root}.layer").write_bytes(layer)
    async with (
        trickling(head.encode()) as slow,
        member(tmp_path / "seed", seed=True) as seed,
        express_party(tmp_path / "a") as alice,
    ):
        await seed.swarm.share(artifact, seed.directory)
        alice.swarm.set_peers([slow, seed.peer])
        seed.swarm.set_peers([alice.peer])
        async with asyncio.timeout(20):
            counts = await fetched(alice, artifact)
        assert counts.lan == SIZE
        assert alice.content(artifact) == content
        assert what == "layer" or "swarm.express-slow" in caplog.text


async def test_another_neighbour_is_asked_where_the_first_has_no_layer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", SIZE)
    liar = Shelf(layers={artifact.sha256: bytes(32 * artifact.pieces)})
    async with (
        serving(liar) as wrong,
        serving(Shelf()) as poor,
        express_party(tmp_path / "seed", seed=True) as seed,
        express_party(tmp_path / "a") as alice,
    ):
        await seed.offer(artifact)
        others = [replace(each, carries_all=True) for each in (wrong, poor)]
        alice.swarm.set_peers([*others, seed.peer])
        seed.swarm.set_peers([alice.peer])
        await fetched(alice, artifact)
        assert alice.content(artifact) == content
        assert "swarm.express root" in caplog.text
        assert (
            caplog.text.count("swarm.blocked")
            == caplog.text.count(f"swarm.blocked host={wrong.host}")
            == 1
        )


async def test_a_file_that_vanishes_meanwhile_is_fetched_anew(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    half = artifact.pieces // 2
    async with seed_and_device(tmp_path) as (seed, alice, group):
        importing = group.create_task(fetched(seed, artifact))
        await stick(seed, artifact, tmp_path / "stick", 0, half)
        fetching = group.create_task(fetched(alice, artifact))
        await eventually(lambda: alice.swarm.counts(artifact).lan > MIB)
        (alice.directory / artifact.pieces_root).unlink()
        await stick(seed, artifact, tmp_path / "stick", half, artifact.pieces)
        await importing
        await seed.offer(artifact)
        await fetching
        assert alice.content(artifact) == content


async def test_a_file_that_vanishes_when_it_is_complete_is_not_complete(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    async with express_party(tmp_path / "a", seed=True) as alice:
        await supply(alice, artifact, tmp_path / "stick")
        await inject(alice, artifact, tmp_path / "stick", range(artifact.pieces))
        await alice.swarm.holdings(artifact)
        (alice.directory / artifact.pieces_root).unlink()
        with pytest.raises(FetchError, match="No such file"):
            await fetched(alice, artifact)
        await stick(alice, artifact, tmp_path / "stick", 0, artifact.pieces)
        await fetched(alice, artifact)
        assert alice.content(artifact) == content


async def test_what_cannot_be_shared_is_not_taken_for_complete_again(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", SIZE)
    async with seed_and_device(tmp_path) as (seed, alice, _):
        await seed.offer(artifact)
        await fetched(alice, artifact)
        path = alice.directory / artifact.pieces_root
        path.write_bytes(content[: SIZE // 2])
        with pytest.raises(ContentError):
            await alice.swarm.share(artifact, alice.directory)
        await fetched(alice, artifact)
        assert alice.content(artifact) == content


async def test_nothing_is_written_any_more_when_it_is_dropped(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", 4 * SIZE)
    async with seed_and_device(tmp_path) as (seed, alice, group):
        await seed.offer(artifact)
        fetching = group.create_task(refused(fetched(alice, artifact)))
        await eventually(lambda: alice.swarm.counts(artifact).lan > 0)
        await alice.swarm.drop(artifact)
        path = alice.directory / artifact.pieces_root
        there = path.stat().st_mtime_ns
        assert await fetching == "dropped"
        assert path.stat().st_mtime_ns == there


async def test_two_that_fetch_before_the_swarm_is_open_share_one_file(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", SIZE)
    async with seed_and_device(tmp_path) as (seed, alice, group):
        await seed.offer(artifact)
        both = [group.create_task(fetched(alice, artifact)) for _ in range(2)]
        for each in both:
            assert (await each).received == SIZE
        assert alice.content(artifact) == content


async def test_pieces_that_come_while_it_is_handed_over_are_not_lost(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    async with (
        seed_and_device(tmp_path) as (seed, alice, group),
        express_party(tmp_path / "b") as bob,
    ):
        importing = group.create_task(fetched(seed, artifact))
        await stick(seed, artifact, tmp_path / "stick", 0, 2)
        rest = group.create_task(
            inject(seed, artifact, tmp_path / "stick", range(2, artifact.pieces))
        )
        await eventually(lambda: seed.swarm.counts(artifact).usb > 4 * MIB)
        seed.swarm.set_peers([alice.peer, bob.peer])
        await rest
        assert (await importing).usb == SIZE
        assert seed.content(artifact) == content
