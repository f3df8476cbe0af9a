"""What the swarm without BitTorrent does beyond the contract."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest

from p2pupd.core.allowance import Allowance
from p2pupd.errors import FetchError
from p2pupd.host.layer_files import keep_layer, layer_of_file
from p2pupd.model.device import TransferProgress
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact
from p2pupd.swarm import ledger
from p2pupd.swarm.interface import Holdings, Injected, SwarmPeer
from p2pupd.swarm.piece_file import PieceFile
from tests.http_swarming import Party, Shelf, acquainted, http_party, serving
from tests.support import eventually, eventually_async
from tests.swarming import an_artifact

MIB = 1 << 20


def ignore(_: TransferProgress) -> None:
    pass


async def test_what_a_kill_left_on_disk_is_not_fetched_again(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 64 * MIB)
    described = tmp_path / "artifact.json"
    described.write_text(json.dumps(asdict(artifact)))
    shelf = Shelf()
    shelf.add(artifact, tmp_path / "seed")
    path = tmp_path / "a" / artifact.pieces_root
    async with serving(shelf) as peer:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.http_node", str(tmp_path / "a"), str(described)),
            *(peer.host, str(peer.api_port)),
            stdout=PIPE,
            stderr=DEVNULL,
        )
        assert process.stdout
        while int(await process.stdout.readline()) < 8 * MIB:
            pass
        process.send_signal(signal.SIGKILL)
        await process.wait()
        size = artifact.piece_length
        found = path.read_bytes().ljust(len(content), b"\0")
        kept = sum(
            size
            for at in range(0, len(content), size)
            if found[at : at + size] == content[at : at + size]
        )
        assert kept >= 8 * MIB
        async with http_party(tmp_path / "a") as alice:
            alice.swarm.set_peers([peer])
            counts = await alice.swarm.fetch(artifact, alice.directory, ignore)
            assert (counts.lan, counts.received) == (artifact.length, artifact.length - kept)
            assert alice.content(artifact) == content


async def test_a_piece_damaged_on_disk_is_found_and_what_is_too_long_is_cut(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / artifact.pieces_root
    path.write_bytes(content[:20_000] + b"\0" + content[20_001:] + b"more")
    async with http_party(tmp_path / "seed") as seed, http_party(tmp_path / "a") as alice:
        acquainted(seed, alice)
        await seed.offer(artifact)
        counts = await alice.swarm.fetch(artifact, alice.directory, ignore)
        assert counts.lan == artifact.piece_length
        assert alice.content(artifact) == content


async def test_with_a_complete_file_and_its_layer_no_neighbour_is_needed(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "a", MIB)
    keep_layer(layer_of_file(artifact, tmp_path / "a"), tmp_path / "a")
    async with http_party(tmp_path / "a") as alice:
        counts = await alice.swarm.fetch(artifact, alice.directory, ignore)
        assert counts.lan == 0


async def test_a_complete_file_that_was_deleted_is_fetched_again(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    async with http_party(tmp_path / "seed") as seed, http_party(tmp_path / "a") as alice:
        acquainted(seed, alice)
        await seed.offer(artifact)
        await alice.swarm.fetch(artifact, alice.directory, ignore)
        (alice.directory / artifact.pieces_root).unlink()
        counts = await alice.swarm.fetch(artifact, alice.directory, ignore)
        assert (counts.lan, counts.received) == (MIB, 2 * MIB)
        assert alice.content(artifact) == content


async def test_two_who_want_the_same_have_it_fetched_once(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 8 * MIB)
    async with http_party(tmp_path / "seed") as seed, http_party(tmp_path / "a") as alice:
        acquainted(seed, alice)
        await seed.offer(artifact)
        reports: list[TransferProgress] = []
        async with asyncio.TaskGroup() as group:
            for listener in (ignore, reports.append):
                group.create_task(alice.swarm.fetch(artifact, alice.directory, listener))
        assert alice.swarm.counts(artifact).lan == artifact.length
        assert alice.content(artifact) == content
        assert reports[-1].done == artifact.length


async def test_holdings_tell_how_many_neighbours_deliver(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", 32 * MIB)
    async with http_party(tmp_path / "seed") as seed, http_party(tmp_path / "a") as alice:
        acquainted(seed, alice)
        await seed.offer(artifact)
        await alice.swarm.fetch(artifact, alice.directory, ignore)
        seen: list[TransferProgress] = []
        other, _ = an_artifact(tmp_path / "seed", 32 * MIB, seed=2)
        await seed.offer(other)
        async with asyncio.TaskGroup() as group:
            group.create_task(alice.swarm.fetch(other, alice.directory, seen.append))
            held = await eventually_async(partial(delivered, alice, other))
            assert held
            assert len(held.here) == len(held.elsewhere) == other.pieces
        assert seen[-1].rate > 0


async def delivered(one: Party, artifact: Artifact) -> Holdings | None:
    """Its holdings, once a neighbour delivers."""
    held = await one.swarm.holdings(artifact)
    return held if held.elsewhere[0] == 1 else None


async def test_the_download_rate_holds(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 16 * MIB)
    rate = 4 * MIB
    clock = asyncio.get_running_loop().time
    async with http_party(tmp_path / "seed") as seed, http_party(tmp_path / "a") as alice:
        acquainted(seed, alice)
        await seed.offer(artifact)
        alice.swarm.limit(Allowance(download=64))
        alice.swarm.limit(Allowance(download=rate))
        async with asyncio.TaskGroup() as group:
            group.create_task(alice.swarm.fetch(artifact, alice.directory, ignore))
            counted = partial(received, alice, artifact)
            await eventually(lambda: counted() > rate // 4)
            first, began = counted(), clock()
            last = await eventually(lambda: now if (now := counted()) >= first + 2 * rate else 0)
            assert 0.7 * rate <= (last - first) / (clock() - began) <= 1.3 * rate
            alice.swarm.limit(Allowance())
        assert alice.content(artifact) == content


def received(one: Party, artifact: Artifact) -> int:
    return one.swarm.counts(artifact).received


def noted(artifact: Artifact, party: Party) -> ledger.Sums:
    found = ledger.read(artifact, party.directory)
    assert found is not None
    return found.sums


async def test_sources_are_noted_before_pieces_are_written(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "stick", 20 * MIB, MIB)
    layer = layer_of_file(artifact, tmp_path / "stick")
    async with http_party(tmp_path / "a") as alice:
        await alice.swarm.supply(artifact, alice.directory, layer)
        assert noted(artifact, alice) == {}
        for piece in range(9):
            part = content[piece * MIB : (piece + 1) * MIB]
            await alice.swarm.inject(artifact, piece, part, Injected.USB)
        assert noted(artifact, alice) == {Injected.USB: 16 * MIB}
        await alice.swarm.drop(artifact)
        assert noted(artifact, alice) == {Injected.USB: 9 * MIB}
        assert alice.swarm.counts(artifact).usb == 9 * MIB


async def test_a_ledger_that_cannot_be_written_is_told_and_costs_no_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path / "stick", MIB)
    layer = layer_of_file(artifact, tmp_path / "stick")
    async with http_party(tmp_path / "a") as alice:
        await alice.swarm.supply(artifact, alice.directory, layer)
        (alice.directory / f"{artifact.pieces_root}{ledger.SUFFIX}").unlink()
        (alice.directory / f"{artifact.pieces_root}{ledger.SUFFIX}").mkdir()
        for piece in range(artifact.pieces):
            part = content[piece * 16384 : (piece + 1) * 16384]
            await alice.swarm.inject(artifact, piece, part, Injected.UPLINK)
        counts = await alice.swarm.fetch(artifact, alice.directory, ignore)
        assert counts.uplink == MIB
        assert "swarm.ledger-not-written" in caplog.text


async def test_a_disk_that_cannot_be_read_or_written_is_a_fetch_error(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    layer = layer_of_file(artifact, tmp_path / "seed")
    (tmp_path / "a" / artifact.pieces_root).mkdir(parents=True)
    file = PieceFile(artifact, tmp_path / "a")
    for step in (
        lambda: file.search(layer),
        lambda: file.write(0, content[: artifact.piece_length]),
        PieceFile(artifact, tmp_path / "gone").sync,
    ):
        with pytest.raises(FetchError, match=r"cannot (read|write)"):
            step()
    assert not PieceFile(artifact, tmp_path / "gone").complete()


def test_long_writes_are_flushed_on_the_way(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 40 * MIB, 8 * MIB)
    (tmp_path / "a").mkdir()
    file = PieceFile(artifact, tmp_path / "a")
    for piece in range(artifact.pieces):
        file.write(piece, content[piece * 8 * MIB : (piece + 1) * 8 * MIB])
    file.sync()
    assert all(file.search(layer_of_file(artifact, tmp_path / "seed")))


async def test_neighbours_without_a_peer_api_are_left_out(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", MIB)
    reports: list[TransferProgress] = []
    async with http_party(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
        alice.swarm.set_peers([SwarmPeer(DeviceId("x"), "127.0.0.1", 1, True)])
        fetching = group.create_task(alice.swarm.fetch(artifact, alice.directory, reports.append))
        await eventually(lambda: len(reports) > 1)
        assert reports[-1].peers == 0
        fetching.cancel()
