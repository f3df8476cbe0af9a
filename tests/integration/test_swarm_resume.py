"""What a kill leaves behind is found again: at most one piece per peer travels twice."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import asdict
from pathlib import Path

import pytest

from p2pupd.model.device import TransferProgress
from p2pupd.model.release import Artifact
from tests.support import eventually
from tests.swarming import BarePeer, an_address, an_artifact, bare_peer, member

MIB = 1 << 20
SEEDS = 2
UNREAD = 4
"""Pieces of each seed that a process on a busy machine may not have taken from its sockets yet."""


async def killed_at(artifact: Artifact, directory: Path, seeds: list[BarePeer], done: int) -> None:
    """A device fetches in a process of its own and is killed when it has `done` bytes."""
    directory.mkdir()
    described = directory.parent / "artifact.json"
    described.write_text(json.dumps(asdict(artifact)))
    peers = ",".join(f"{seed.peer.host}:{seed.peer.port}" for seed in seeds)
    process: Process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.swarm_node", "--address", an_address()),
        *("--directory", str(directory), "--artifact", str(described), "--peers", peers),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"\n")
    while line := await process.stdout.readline():
        word, _, number = line.partition(b" ")
        if word == b"PROGRESS" and int(number) >= done:
            break
    process.kill()
    await process.wait()


def good_pieces(artifact: Artifact, content: bytes, path: Path) -> int:
    """How many pieces of the file are there and right."""
    found = path.read_bytes()
    size = artifact.piece_length
    starts = range(0, artifact.length, size)
    return sum(found[at : at + size] == content[at : at + size] for at in starts)


@pytest.mark.parametrize("length", [2 * MIB, 16 * MIB])
async def test_after_a_kill_no_verified_piece_is_fetched_again(tmp_path: Path, length: int) -> None:
    """What the kill costs is what was sent and is not on disk; end-game copies are not its cost."""
    artifact, content = an_artifact(tmp_path / "seed", length)
    with (
        bare_peer(artifact, tmp_path / "seed", rate=length // 6) as one,
        bare_peer(artifact, tmp_path / "seed", rate=length // 6) as two,
    ):
        await killed_at(artifact, tmp_path / "a", [one, two], length // 2)
        kept = artifact.piece_length * good_pieces(
            artifact, content, tmp_path / "a" / artifact.pieces_root
        )
        assert one.sent + two.sent - kept <= SEEDS * UNREAD * artifact.piece_length
        one.unlimited()
        two.unlimited()
        async with member(tmp_path / "a") as alice:
            alice.swarm.set_peers([one.peer, two.peer])
            assert await alice.fetch(artifact) == artifact.length - kept
            assert alice.content(artifact) == content


async def test_a_stop_in_good_order_keeps_every_piece(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 4 * MIB)
    reports: list[TransferProgress] = []
    with bare_peer(artifact, tmp_path / "seed", rate=2 * MIB) as seed:
        async with member(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
            alice.swarm.set_peers([seed.peer])
            fetching = group.create_task(alice.fetch(artifact, reports))
            await eventually(lambda: reports and reports[-1].done > MIB)
            fetching.cancel()
        seed.unlimited()
        async with member(tmp_path / "a") as alice:
            alice.swarm.set_peers([seed.peer])
            assert await alice.fetch(artifact) <= artifact.length - reports[-1].done
            assert alice.content(artifact) == content


@pytest.mark.parametrize("damage", ["missing", "not bencoded", "of another artifact", "endless"])
async def test_without_good_resume_data_the_pieces_on_disk_are_still_found(
    tmp_path: Path, damage: str
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", 8 * MIB)
    other, _ = an_artifact(tmp_path / "other", MIB, seed=2)
    async with member(tmp_path / "other", seed=True) as sharer:
        await sharer.swarm.share(other, sharer.directory)
    kept = {
        "missing": None,
        "not bencoded": b"\0\1\2",
        "of another artifact": (tmp_path / "other" / f"{other.pieces_root}.resume").read_bytes(),
        "endless": bytes(10 * MIB),
    }[damage]
    with bare_peer(artifact, tmp_path / "seed", rate=2 * MIB) as seed:
        async with member(tmp_path / "a") as alice:
            file = alice.directory / artifact.pieces_root
            file.write_bytes(content[: 6 * MIB] + bytes(MIB))
            if kept is not None:
                file.with_suffix(".resume").write_bytes(kept)
            alice.swarm.set_peers([seed.peer])
            assert await alice.fetch(artifact) < 4 * MIB
            assert alice.content(artifact) == content


async def test_a_piece_damaged_on_disk_is_found_and_fetched_again(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    async with member(tmp_path / "seed", seed=True) as seed:
        await seed.swarm.share(artifact, seed.directory)
        async with member(tmp_path / "a") as alice:
            alice.swarm.set_peers([seed.peer])
            await alice.fetch(artifact)
        file = tmp_path / "a" / artifact.pieces_root
        file.write_bytes(content[: MIB // 2] + b"\0" + content[MIB // 2 + 1 : -16384])
        async with member(tmp_path / "a") as alice:
            alice.swarm.set_peers([seed.peer])
            assert await alice.fetch(artifact) == 2 * artifact.piece_length
            assert alice.content(artifact) == content


async def test_a_file_longer_than_signed_is_cut(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "seed", MIB)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / artifact.pieces_root).write_bytes(content + b"more")
    async with member(tmp_path / "a") as alice:
        assert await alice.fetch(artifact) == 0
        assert alice.content(artifact) == content
