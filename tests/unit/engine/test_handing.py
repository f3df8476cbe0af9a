"""What a seed hands out, piece by piece, while strange things happen to what it has."""

import asyncio
import io
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from p2pupd.core.handout import bits
from p2pupd.core.piece_layer import length_of_piece
from p2pupd.engine.handing import REMEMBERED, Handing
from p2pupd.host.layer_files import layer_of_file
from p2pupd.model.device import Role
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact
from p2pupd.model.setting import Bytes
from p2pupd.store.disk import DiskStore
from p2pupd.store.settings import StoreSettings
from p2pupd.swarm.interface import Injected
from p2pupd.wire.handout import NUMBER, Word, decode_number
from tests.support import eventually_async
from tests.swarming import Member, an_artifact, member

SIZE = 40 * 16384 + 77
OWN = DeviceId("aaaa")


@dataclass
class Seed:
    handing: Handing
    store: DiskStore
    member: Member
    artifact: Artifact
    content: bytes
    source: Path

    async def stream(self, unwanted: bytes = b"") -> AsyncGenerator[bytes]:
        parts = await self.handing.parts(self.artifact.sha256, unwanted)
        assert parts
        return parts

    async def arrives(self, pieces: range) -> Path:
        """These come from a stick, and are on the disk; the file."""
        artifact, directory = self.artifact, self.store.place(self.artifact)
        layer = layer_of_file(artifact, self.source)
        await self.member.swarm.supply(artifact, directory, layer)
        path = directory / artifact.pieces_root
        for piece in pieces:
            await self.member.swarm.inject(artifact, piece, self.piece(piece), Injected.USB)

        async def there() -> bool:
            here = (await self.member.swarm.holdings(artifact)).here
            return all(here[piece] for piece in pieces) and all(
                on_disk(path, self, piece) == self.piece(piece) for piece in pieces
            )

        await eventually_async(there)
        return path

    def piece(self, piece: int) -> bytes:
        at = piece * self.artifact.piece_length
        return self.content[at : at + length_of_piece(self.artifact, piece)]


def on_disk(path: Path, seed: Seed, piece: int) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(piece * seed.artifact.piece_length)
        return file.read(length_of_piece(seed.artifact, piece))


def put(path: Path, seed: Seed, piece: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(piece * seed.artifact.piece_length)
        file.write(content)


@asynccontextmanager
async def seed_of(directory: Path, *, whole: bool = False) -> AsyncIterator[Seed]:
    source = directory / "source"
    artifact, content = an_artifact(source, SIZE)
    store = DiskStore(directory / "store", StoreSettings(reserve=Bytes(0)))
    if whole:
        store.import_from(artifact, lambda: io.BytesIO(content), lambda _: None)
    async with member(directory / "session") as one:
        handing = Handing(OWN, Role.SEED, store, one.swarm)
        yield Seed(handing, store, one, artifact, content, source)


async def words_and_pieces(
    seed: Seed, parts: AsyncGenerator[bytes], until: Word
) -> list[int | Word]:
    """What was sent until that word, each piece compared with what it must be."""
    said: list[int | Word] = []
    async with asyncio.timeout(20), aclosing(parts):
        async for part in parts:
            number = decode_number(part[:NUMBER], seed.artifact.pieces)
            if not isinstance(number, Word):
                assert part[NUMBER:] == seed.piece(number)
            said.append(number)
            if number is until is not Word.OVER:
                break
    return said


async def test_of_a_verified_file_every_piece_is_sent_once(tmp_path: Path) -> None:
    async with seed_of(tmp_path, whole=True) as seed:
        said = await words_and_pieces(seed, await seed.stream(), Word.OVER)
        assert sorted(said[:-1]) == list(range(seed.artifact.pieces))
        assert await words_and_pieces(seed, await seed.stream(), Word.OVER) == [Word.OVER]


async def test_what_is_hashed_and_not_yet_on_the_disk_is_sent_once_it_is(tmp_path: Path) -> None:
    """The swarm tells of a piece before it is written; wrong bytes would get the seed blocked."""
    async with seed_of(tmp_path) as seed:
        path = await seed.arrives(range(10))
        put(path, seed, 3, bytes(16384))
        said = await words_and_pieces(seed, await seed.stream(), Word.IDLE)
        assert sorted(said[:-1]) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
        put(path, seed, 3, seed.piece(3))
        assert 3 in await words_and_pieces(seed, await seed.stream(), Word.IDLE)


async def test_what_was_removed_and_comes_again_is_not_sent_from_memory(tmp_path: Path) -> None:
    async with seed_of(tmp_path, whole=True) as seed:
        most = bits([True] * (seed.artifact.pieces - 2))
        said = await words_and_pieces(seed, await seed.stream(most), Word.OVER)
        assert len(said) == 3
        seed.store.remove(seed.artifact.sha256)
        await seed.arrives(range(5))
        said = await words_and_pieces(seed, await seed.stream(), Word.IDLE)
        assert sorted(said[:-1]) == [0, 1, 2, 3, 4]


async def test_the_same_file_in_pieces_of_another_length_is_another_handout(
    tmp_path: Path,
) -> None:
    async with seed_of(tmp_path, whole=True) as seed:
        await words_and_pieces(seed, await seed.stream(), Word.OVER)
        seed.artifact = replace(seed.artifact, piece_length=2 * 16384)
        seed.store.place(seed.artifact)
        said = await words_and_pieces(seed, await seed.stream(), Word.OVER)
        assert sorted(said[:-1]) == list(range(seed.artifact.pieces))


async def test_a_stream_that_is_open_is_not_forgotten_for_others(tmp_path: Path) -> None:
    """Who asks for many artifacts does not make the seed begin anew with one."""
    async with seed_of(tmp_path, whole=True) as seed:
        first = await seed.stream()
        begun = decode_number((await anext(first))[:NUMBER], seed.artifact.pieces)
        for number in range(REMEMBERED + 2):
            artifact, content = an_artifact(tmp_path / f"other{number}", 20_000, seed=number + 2)
            seed.store.import_from(artifact, lambda raw=content: io.BytesIO(raw), lambda _: None)  # type: ignore[misc]
            other = await seed.handing.parts(artifact.sha256, b"")
            assert other
            async with aclosing(other):
                await anext(other)
        said = await words_and_pieces(seed, await seed.stream(), Word.OVER)
        assert begun not in said
        await first.aclose()


async def test_a_file_that_became_shorter_ends_the_stream(tmp_path: Path) -> None:
    async with seed_of(tmp_path, whole=True) as seed:
        found = seed.store.find(seed.artifact.sha256)
        assert found
        os.truncate(found.path, 5)
        assert [part async for part in await seed.stream()] == []


@pytest.mark.parametrize("role", [Role.PEER, Role.LEECH])
async def test_only_seeds_hand_out(tmp_path: Path, role: Role) -> None:
    async with seed_of(tmp_path, whole=True) as seed:
        handing = Handing(OWN, role, seed.store, seed.member.swarm)
        assert await handing.parts(seed.artifact.sha256, b"") is None
        assert await seed.handing.parts(seed.artifact.pieces_root, b"") is None
