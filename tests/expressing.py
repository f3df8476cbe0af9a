"""Devices that leave BitTorrent out where they can: acquainted, fetching, reading sticks."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from p2pupd.core.piece_layer import length_of_piece
from p2pupd.errors import UpdateError
from p2pupd.host.layer_files import layer_of_file
from p2pupd.model.device import ByteCounts, TransferProgress
from p2pupd.model.release import Artifact
from p2pupd.swarm.interface import Injected
from tests.http_swarming import Party, acquainted, express_party

MIB = 1 << 20
SIZE = 40 * MIB + 12345


@asynccontextmanager
async def seed_and_device(
    directory: Path,
) -> AsyncIterator[tuple[Party, Party, asyncio.TaskGroup]]:
    """Acquainted, in `directory`/seed and `directory`/a; the group ends before they do."""
    async with (
        express_party(directory / "seed", seed=True) as seed,
        express_party(directory / "a") as alice,
        asyncio.TaskGroup() as group,
    ):
        acquainted(seed, alice)
        yield seed, alice, group


async def fetched(
    one: Party, artifact: Artifact, reports: list[TransferProgress] | None = None
) -> ByteCounts:
    """Fetch into its directory."""
    listener = (reports if reports is not None else []).append
    return await one.swarm.fetch(artifact, one.directory, listener)


async def inject(
    one: Party,
    artifact: Artifact,
    source: Path,
    pieces: range,
    kind: Injected = Injected.USB,
) -> None:
    """Put in these pieces of the file in `source`."""
    content, size = (source / artifact.pieces_root).read_bytes(), artifact.piece_length
    for piece in pieces:
        at = piece * size
        part = content[at : at + length_of_piece(artifact, piece)]
        await one.swarm.inject(artifact, piece, part, kind)


async def supply(one: Party, artifact: Artifact, source: Path) -> None:
    """Make it ready for pieces of the file in `source`."""
    await one.swarm.supply(artifact, one.directory, layer_of_file(artifact, source))


async def stick(one: Party, artifact: Artifact, source: Path, first: int, end: int) -> None:
    """Pieces of the file in `source` come from a stick."""
    await supply(one, artifact, source)
    await inject(one, artifact, source, range(first, end))
    await one.swarm.holdings(artifact)


async def refused(work: Coroutine[Any, Any, object]) -> str:
    """Why it could not be done."""
    with pytest.raises(UpdateError) as error:
        await work
    return error.value.reason
