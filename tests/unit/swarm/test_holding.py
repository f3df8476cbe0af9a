"""The account of a file that is written without BitTorrent."""

import asyncio
from pathlib import Path

import pytest

from p2pupd.host.layer_files import layer_of_file
from p2pupd.model.release import Artifact
from p2pupd.swarm import ledger
from p2pupd.swarm.holding import Holding
from p2pupd.swarm.interface import Injected
from tests.swarming import an_artifact

PIECE = 16384
SIZE = 10 * PIECE + 5


@pytest.fixture
async def holding(tmp_path: Path) -> Holding:
    artifact, _ = an_artifact(tmp_path / "seed", SIZE)
    (tmp_path / "a").mkdir()
    made = Holding(artifact, tmp_path / "a")
    await made.search(layer_of_file(artifact, tmp_path / "seed"))
    return made


def noted(artifact: Artifact, directory: Path) -> bytes:
    """The codes of the sources that the ledger on disk tells."""
    kept = ledger.read(artifact, directory)
    assert kept
    return kept.marks


async def test_nobody_writes_before_it_is_on_disk_where_that_comes_from(holding: Holding) -> None:
    first, second = [(0, Injected.USB)], [(1, Injected.USB)]
    async with asyncio.TaskGroup() as group:
        group.create_task(holding.foresee(first))
        other = group.create_task(holding.foresee(second))
        assert not holding.foreseen(second)
        await other
        assert noted(holding.artifact, holding.directory)[:2] == b"\x01\x01"
    assert holding.foreseen(first + second)


async def test_each_piece_counts_once_for_whoever_brought_it_first(holding: Holding) -> None:
    for source in (Injected.LAN, Injected.USB):
        await holding.foresee([(0, source)])
        holding.came(0, source)
    for source in (Injected.UPLINK, Injected.LAN):
        await holding.foresee([(10, source)])
        holding.came(10, source)
    counts = holding.counted(7)
    assert (counts.lan, counts.uplink, counts.usb) == (PIECE, 5, 0)
    assert (counts.received, counts.wasted, holding.done) == (PIECE, 7, PIECE + 5)
    assert holding.lacking == len(holding.missing()) == 9


async def test_what_was_foreseen_and_did_not_come_is_not_noted_in_the_end(holding: Holding) -> None:
    await holding.foresee([(3, Injected.USB)])
    holding.came(3, Injected.USB)
    holding.file.write(3, bytes(PIECE))
    await holding.leave()
    expected = bytes([0, 0, 0, 1]).ljust(holding.artifact.pieces, b"\0")
    assert noted(holding.artifact, holding.directory) == expected
