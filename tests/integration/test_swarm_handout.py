"""A seed that hands each piece to one device, and devices that share what they were handed."""

import asyncio
import io
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from p2pupd.api.peer import Hand
from p2pupd.core.allowance import Allowance
from p2pupd.core.handout import bits
from p2pupd.core.piece_layer import length_of_piece
from p2pupd.engine.handing import Handing
from p2pupd.engine.served import Served
from p2pupd.engine.tasks import Tasks
from p2pupd.feeds.peer_client import PeerClient
from p2pupd.host.layer_files import keep_layer, layer_of_file
from p2pupd.model.device import Role
from p2pupd.model.ids import DeviceId, Sha256
from p2pupd.model.release import Artifact
from p2pupd.model.setting import Bytes
from p2pupd.store.disk import DiskStore
from p2pupd.store.settings import StoreSettings
from p2pupd.swarm.arrivals import Arrivals
from p2pupd.swarm.interface import Injected, SwarmPeer
from p2pupd.swarm.receiving import AT_ONCE
from p2pupd.swarm.session import LibtorrentSwarm
from p2pupd.swarm.settings import SwarmSettings
from p2pupd.wire.handout import Word, encode_number
from tests.contents import artifact_of
from tests.http_swarming import CLIENT, Party, Shelf, express_party, serving
from tests.packing import noise, packed, reused
from tests.support import eventually, running
from tests.swarming import an_address, an_artifact
from tests.unit.engine.test_served import nothing_here

MIB = 1 << 20
SIZE = 6 * MIB + 12345
DEVICES = 4

Parts = AsyncGenerator[bytes]
Spoil = Callable[[Parts], Parts]


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@dataclass
class Seed:
    """`gave` are the bytes of the artifact that it handed out."""

    peer: SwarmPeer
    swarm: LibtorrentSwarm
    store: DiskStore
    shelf: Shelf
    artifact: Artifact

    @property
    def gave(self) -> int:
        return self.shelf.gave[self.artifact.sha256]

    @property
    def torrent_sent(self) -> int:
        return self.swarm.counts(self.artifact).sent


@asynccontextmanager
async def seed_of(
    directory: Path, artifact: Artifact, content: bytes = b"", spoil: Spoil | None = None
) -> AsyncIterator[Seed]:
    """A seed that has it, or has nothing yet; `spoil` changes what it hands out."""
    address, shelf = an_address(), Shelf()
    own = DeviceId(f"device-{address}")
    store = DiskStore(directory, StoreSettings(reserve=Bytes(0)))
    settings = SwarmSettings(interfaces=(address,))
    swarm = LibtorrentSwarm(own, settings, carries_all=True)
    handing = Handing(own, Role.SEED, store, swarm)

    async def spoiled(sha256: Sha256, unwanted: bytes) -> Parts | None:
        parts = await handing.parts(sha256, unwanted)
        return spoil(parts) if parts and spoil else parts

    hand: Hand = spoiled
    async with running(swarm.run()), serving(shelf, address, hand) as api:
        port = await swarm.listening()
        if content:
            place = store.import_from(artifact, lambda: io.BytesIO(content), lambda _: None)
            shelf.add(artifact, place)
            await swarm.share(artifact, place)
        peer = replace(api, port=port, carries_all=True)
        yield Seed(peer, swarm, store, shelf, artifact)


@asynccontextmanager
async def floor(tmp_path: Path, *seeds: Seed, handout: int = 2) -> AsyncIterator[list[Party]]:
    """Devices that know the seeds and each other; all have the piece layers of the first seed."""
    async with AsyncExitStack() as stack:
        devices = [
            await stack.enter_async_context(express_party(tmp_path / f"d{number}", handout=handout))
            for number in range(DEVICES)
        ]
        for one in devices:
            others = [each.peer for each in devices if each is not one]
            one.swarm.set_peers([*(seed.peer for seed in seeds), *others])
            assert one.shelf
            one.shelf.layers = seeds[0].shelf.layers
        for seed in seeds:
            seed.swarm.set_peers([each.peer for each in devices])
        yield devices


async def all_fetch(devices: list[Party], artifact: Artifact, content: bytes) -> None:
    async with asyncio.TaskGroup() as group:
        for one in devices:
            group.create_task(one.swarm.fetch(artifact, one.directory, lambda _: None))
    for one in devices:
        assert one.content(artifact) == content
        assert one.swarm.counts(artifact).lan == len(content)


@pytest.mark.parametrize("made", [False, True])
async def test_on_a_small_floor_the_seed_chooses_only_of_what_devices_may_make(
    tmp_path: Path, made: bool
) -> None:
    artifact, content = an_artifact(tmp_path / "source", SIZE)
    async with (
        seed_of(tmp_path / "seed", artifact, content) as seed,
        floor(tmp_path, seed, handout=DEVICES + 1) as devices,
    ):
        for one in devices if made else ():
            one.swarm.hold_back(artifact, ())
        await all_fetch(devices, artifact, content)
        assert seed.gave == (SIZE if made else 0)


async def test_the_seed_sends_one_copy_however_many_devices_there_are(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "source", SIZE)
    async with (
        seed_of(tmp_path / "seed", artifact, content) as seed,
        floor(tmp_path, seed) as devices,
    ):
        await all_fetch(devices, artifact, content)
        assert seed.gave == SIZE
        assert seed.torrent_sent == 0


async def test_pieces_are_handed_out_while_a_stick_still_brings_them(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "source", SIZE)
    async with seed_of(tmp_path / "seed", artifact) as seed, floor(tmp_path, seed) as devices:
        place = seed.store.place(artifact)
        layer = layer_of_file(artifact, tmp_path / "source")
        await seed.swarm.supply(artifact, place, layer)
        seed.shelf.layers[artifact.sha256] = layer.hashes
        async with asyncio.TaskGroup() as group:
            group.create_task(all_fetch(devices, artifact, content))
            for piece in range(artifact.pieces):
                at = piece * artifact.piece_length
                part = content[at : at + length_of_piece(artifact, piece)]
                await seed.swarm.inject(artifact, piece, part, Injected.USB)
                if piece == artifact.pieces // 2:
                    await eventually(lambda: seed.gave > SIZE // 4)
        assert seed.gave == SIZE


async def test_two_seeds_share_the_work(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "source", SIZE)
    async with (
        seed_of(tmp_path / "one", artifact, content) as one,
        seed_of(tmp_path / "two", artifact, content) as two,
        floor(tmp_path, one, two) as devices,
    ):
        await all_fetch(devices, artifact, content)
        assert one.gave + two.gave >= SIZE
        assert max(one.gave, two.gave) <= SIZE


async def test_what_an_older_pack_makes_is_handed_out_once_nobody_says_so(
    tmp_path: Path,
) -> None:
    """Devices that have that one have five seconds to say so."""
    old = noise(4 * MIB)
    before = packed(old)
    after = packed(old + noise(MIB, seed=2), before)
    artifact, made = artifact_of(after.raw), reused(after, before.source).keys()
    taken: list[int] = []

    async def take(piece: int, _: bytes) -> None:
        taken.append(piece)

    async with seed_of(tmp_path / "seed", artifact, after.raw) as seed, PeerClient(CLIENT) as one:
        seed.store.import_from(
            artifact_of(before.raw), lambda: io.BytesIO(before.raw), lambda _: None
        )
        ask = partial(one.handout, seed.peer.host, seed.peer.api_port, artifact, take=take)
        assert await ask(b"")
        assert set(taken) == set(range(artifact.pieces)) - made
        has = [piece in taken for piece in range(artifact.pieces)]
        assert not await ask(bits(has))
        assert sorted(taken) == list(range(artifact.pieces))


async def test_what_a_device_took_and_keeps_to_itself_is_fetched_from_the_seed(
    tmp_path: Path,
) -> None:
    artifact, content = an_artifact(tmp_path / "source", SIZE)
    taken: list[int] = []

    async def take(piece: int, _: bytes) -> None:
        taken.append(piece)
        if len(taken) == 50:
            raise EOFError

    async with (
        seed_of(tmp_path / "seed", artifact, content) as seed,
        PeerClient(CLIENT) as thief,
        floor(tmp_path, seed) as devices,
    ):
        with pytest.raises(EOFError):
            await thief.handout(seed.peer.host, seed.peer.api_port, artifact, b"", take)
        await all_fetch(devices, artifact, content)
        await eventually(lambda: seed.torrent_sent > 0)


async def broken_off(parts: Parts) -> Parts:
    """Ends in the middle."""
    count = 0
    async for part in parts:
        yield part
        count += 1
        if count == 20:
            return


async def wrong(parts: Parts) -> Parts:
    """Wrong bytes under right numbers."""
    async for part in parts:
        yield part[:4] + bytes(len(part) - 4)


async def of_nothing(parts: Parts) -> Parts:
    """A piece that there is not."""
    async for part in parts:
        yield encode_number(1_000_000) + part[4:]


async def beyond_its_end(parts: Parts) -> Parts:
    """Bytes after the last word."""
    async for _ in parts:
        yield encode_number(Word.AGAIN) + b"more"


@pytest.mark.parametrize("spoil", [broken_off, wrong, of_nothing, beyond_its_end])
async def test_a_seed_that_hands_out_badly_is_left_for_torrents(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Spoil
) -> None:
    artifact, content = an_artifact(tmp_path / "source", SIZE)
    async with (
        seed_of(tmp_path / "seed", artifact, content, spoil) as seed,
        floor(tmp_path, seed) as devices,
    ):
        await all_fetch(devices, artifact, content)
        await eventually(lambda: seed.torrent_sent > 0)
    assert ("wrong piece handed out" in caplog.text) is (spoil is wrong)


@pytest.mark.parametrize("rate", [Allowance(download=100 * MIB), Allowance(upload=100 * MIB)])
async def test_a_device_that_must_keep_a_rate_asks_in_torrents(
    tmp_path: Path, rate: Allowance
) -> None:
    """Also one that may only give on what it takes slowly."""
    artifact, content = an_artifact(tmp_path / "source", SIZE)
    waiting: list[bool] = []

    async def idle(_: Parts) -> Parts:
        waiting.append(True)
        while True:
            yield encode_number(Word.IDLE)
            await asyncio.sleep(0.01)

    async with (
        seed_of(tmp_path / "seed", artifact, content, idle) as seed,
        floor(tmp_path, seed) as devices,
    ):
        async with asyncio.TaskGroup() as group:
            group.create_task(all_fetch(devices, artifact, content))
            await eventually(lambda: len(waiting) == DEVICES)
            for one in devices:
                one.swarm.limit(rate)
            await eventually(lambda: seed.torrent_sent > 0)
        assert seed.gave == 0


@pytest.mark.parametrize("word", [Word.OVER, Word.AGAIN])
async def test_a_seed_that_only_talks_does_not_keep_devices_from_another_one(
    tmp_path: Path, word: Word
) -> None:
    artifact, content = an_artifact(tmp_path / "source", SIZE)
    asked: list[float] = []

    async def talk(_: Parts) -> Parts:
        asked.append(asyncio.get_running_loop().time())
        yield encode_number(word)

    async with (
        seed_of(tmp_path / "liar", artifact, content, talk) as liar,
        seed_of(tmp_path / "seed", artifact, content) as seed,
        floor(tmp_path, liar, seed) as devices,
    ):
        await all_fetch(devices, artifact, content)
        assert seed.gave == SIZE
        assert seed.torrent_sent == liar.torrent_sent == 0
        assert len(asked) <= DEVICES * (asked[-1] - asked[0] + 2)


async def test_many_artifacts_leave_a_device_requests_for_other_questions(tmp_path: Path) -> None:
    """A seed answers four requests of one address at a time."""
    made = [an_artifact(tmp_path / f"source{seed}", 5 * MIB, seed=seed) for seed in range(5)]
    open_now, most = 0, 0

    async def counted(parts: Parts) -> Parts:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        try:
            async for part in parts:
                yield part
        finally:
            open_now -= 1

    async with (
        seed_of(tmp_path / "seed", *made[0], counted) as seed,
        express_party(tmp_path / "device") as device,
        express_party(tmp_path / "other") as other,
    ):
        for artifact, content in made[1:]:
            place = seed.store.import_from(artifact, partial(io.BytesIO, content), lambda _: None)
            seed.shelf.add(artifact, place)
            await seed.swarm.share(artifact, place)
        device.swarm.set_peers([seed.peer, other.peer])
        async with asyncio.TaskGroup() as group:
            for artifact, _ in made:
                work = device.swarm.fetch(artifact, device.directory, lambda _: None)
                group.create_task(work)
        assert 0 < most <= AT_ONCE


async def test_the_layer_of_what_arrives_is_given_as_soon_as_it_is_known(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "source", SIZE)
    layer = layer_of_file(artifact, tmp_path / "source")
    store = DiskStore(tmp_path / "store", StoreSettings(reserve=Bytes(0)))
    async with asyncio.TaskGroup() as group:
        served = Served(store, Role.PEER, Tasks(group), Arrivals(), nothing_here)
        assert await served.layer(artifact.sha256) is None
        directory = store.place(artifact)
        asking = group.create_task(served.layer(artifact.sha256))
        keep_layer(layer, directory)
        assert await asking == layer.hashes
        waits = group.create_task(served.layer(artifact.sha256))
        store.remove(artifact.sha256)
        assert await waits in (None, layer.hashes)
