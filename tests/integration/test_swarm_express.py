"""Two devices alone: long ranges by HTTP instead of BitTorrent, which takes over when it must."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.core.allowance import Allowance
from p2pupd.model.device import TransferProgress
from tests.expressing import MIB, SIZE, fetched, refused, seed_and_device, stick
from tests.http_swarming import Shelf, acquainted, express_party, serving
from tests.support import eventually
from tests.swarming import an_artifact, member


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.mark.parametrize("piece_length", [16384, 32768])
async def test_a_device_alone_with_a_seed_takes_everything_by_http(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, piece_length: int
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", SIZE, piece_length)
    async with seed_and_device(tmp_path) as (seed, alice, _):
        await seed.offer(artifact)
        reports: list[TransferProgress] = []
        counts = await fetched(alice, artifact, reports)
        assert (counts.lan, counts.received, counts.wasted) == (SIZE, SIZE, 0)
        assert alice.content(artifact) == content
        assert (reports[-1].done, reports[-1].counts) == (SIZE, counts)
        assert seed.shelf
        assert seed.shelf.gave[artifact.sha256] == SIZE
        await alice.offer(artifact)
        assert alice.swarm.counts(artifact) == counts
        assert "swarm.handed-over" not in caplog.text
        async with member(tmp_path / "b") as bob:
            bob.swarm.set_peers([alice.peer])
            await bob.fetch(artifact)
            assert bob.content(artifact) == content


async def test_what_a_stick_brings_is_handed_on_by_http_while_it_arrives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    async with seed_and_device(tmp_path) as (seed, alice, group):
        importing = group.create_task(fetched(seed, artifact))
        await stick(seed, artifact, tmp_path / "stick", 0, artifact.pieces // 2)
        fetching = group.create_task(fetched(alice, artifact))
        await eventually(lambda: alice.swarm.counts(artifact).lan > 0)
        assert not importing.done()
        await stick(seed, artifact, tmp_path / "stick", artifact.pieces // 2, artifact.pieces)
        assert (await importing).usb == SIZE
        assert (await fetching).lan == SIZE
        await seed.offer(artifact)
        assert seed.swarm.counts(artifact).usb == SIZE
        assert seed.content(artifact) == alice.content(artifact) == content
        assert "swarm.handed-over" not in caplog.text


async def test_bittorrent_goes_on_when_another_device_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    async with (
        express_party(tmp_path / "b") as bob,
        seed_and_device(tmp_path) as (seed, alice, group),
    ):
        importing = group.create_task(fetched(seed, artifact))
        await stick(seed, artifact, tmp_path / "stick", 0, artifact.pieces // 2)
        one = group.create_task(fetched(alice, artifact))
        await eventually(lambda: alice.swarm.counts(artifact).lan > 0)
        acquainted(seed, alice, bob)
        other = group.create_task(fetched(bob, artifact))
        await eventually(lambda: bob.swarm.counts(artifact).lan > 0)
        await stick(seed, artifact, tmp_path / "stick", artifact.pieces // 2, artifact.pieces)
        assert (await importing).usb == SIZE
        assert (await one).lan == (await other).lan == SIZE
        assert (await one).received < SIZE + MIB
        assert alice.content(artifact) == bob.content(artifact) == content
        assert caplog.text.count("swarm.handed-over") == 2


async def test_a_stick_is_shared_by_bittorrent_where_nobody_asks_by_http(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    async with (
        express_party(tmp_path / "seed", seed=True) as seed,
        member(tmp_path / "a") as alice,
        asyncio.TaskGroup() as group,
    ):
        seed.swarm.set_peers([alice.peer])
        alice.swarm.set_peers([seed.peer])
        importing = group.create_task(fetched(seed, artifact))
        fetching = group.create_task(alice.fetch(artifact))
        await stick(seed, artifact, tmp_path / "stick", 0, artifact.pieces // 2)
        assert "swarm.arriving" in caplog.text
        await eventually(lambda: alice.swarm.counts(artifact).lan > 0)
        await stick(seed, artifact, tmp_path / "stick", artifact.pieces // 2, artifact.pieces)
        await importing
        await fetching
        assert alice.content(artifact) == content


async def test_who_sends_wrong_bytes_is_asked_no_more_and_bittorrent_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", SIZE)
    (tmp_path / "liar").mkdir()
    lies = content[: SIZE // 4] + bytes(SIZE - SIZE // 4)
    (tmp_path / "liar" / artifact.pieces_root).write_bytes(lies)
    shelf = Shelf()
    shelf.add(artifact, tmp_path / "liar", tmp_path / "seed")
    async with (
        serving(shelf) as liar,
        member(tmp_path / "seed", seed=True) as seed,
        express_party(tmp_path / "a") as alice,
    ):
        await seed.swarm.share(artifact, seed.directory)
        seed.swarm.set_peers([alice.peer])
        alice.swarm.set_peers([replace(liar, carries_all=True), seed.peer])
        counts = await fetched(alice, artifact)
        assert alice.content(artifact) == content
        assert counts.lan == SIZE
        assert 0 < counts.wasted <= 2 * MIB
        assert f"swarm.blocked host={liar.host}" in caplog.text
        await eventually(lambda: seed.swarm.counts(artifact).sent > 0)


async def test_a_pause_and_a_limit_are_for_bittorrent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, content = an_artifact(tmp_path / "seed", SIZE)
    async with seed_and_device(tmp_path) as (seed, alice, group):
        await seed.offer(artifact)
        alice.swarm.limit(Allowance(download=2 * MIB))
        fetching = group.create_task(fetched(alice, artifact))
        await eventually(lambda: alice.swarm.counts(artifact).lan > 0)
        alice.swarm.limit(Allowance(moving=False))
        alice.swarm.limit(Allowance())
        await fetching
        assert "swarm.express" not in caplog.text
        assert alice.content(artifact) == content


async def test_what_is_there_is_kept_when_the_neighbour_dies(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    half = artifact.pieces // 2
    async with express_party(tmp_path / "a") as alice, asyncio.TaskGroup() as group:
        async with express_party(tmp_path / "seed", seed=True) as seed:
            acquainted(seed, alice)
            await stick(seed, artifact, tmp_path / "stick", 0, half)
            fetching = group.create_task(fetched(alice, artifact))
            await eventually(lambda: alice.swarm.counts(artifact).lan > 0)
        async with member(tmp_path / "stick", seed=True) as other:
            await other.swarm.share(artifact, other.directory)
            other.swarm.set_peers([alice.peer])
            alice.swarm.set_peers([other.peer])
            counts = await fetching
            assert counts.received == SIZE
            assert alice.content(artifact) == content
            assert other.swarm.counts(artifact).sent < SIZE


async def test_a_stick_that_comes_in_the_middle_of_it_is_used(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    async with seed_and_device(tmp_path) as (seed, alice, group):
        await stick(seed, artifact, tmp_path / "stick", 0, artifact.pieces // 2)
        fetching = group.create_task(fetched(alice, artifact))
        await eventually(lambda: alice.swarm.counts(artifact).lan > 0)
        await stick(alice, artifact, tmp_path / "stick", 0, artifact.pieces)
        counts = await fetching
        assert counts.lan + counts.usb == SIZE
        assert counts.usb > 0
        assert alice.content(artifact) == content


async def test_what_is_dropped_while_it_is_asked_for_ends(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "seed", SIZE)
    async with seed_and_device(tmp_path) as (seed, alice, group):
        fetching = group.create_task(refused(fetched(alice, artifact)))
        await eventually(lambda: seed.shelf and seed.shelf.asked_layers)
        await alice.swarm.drop(artifact)
        assert await fetching == "dropped"


async def test_what_a_stick_left_is_found_by_the_next_run_without_it(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path / "stick", SIZE)
    async with express_party(tmp_path / "a", seed=True) as alice:
        await stick(alice, artifact, tmp_path / "stick", 0, artifact.pieces // 2)
        await eventually(lambda: alice.swarm.counts(artifact).usb > SIZE // 3)
        usb = alice.swarm.counts(artifact).usb
    async with (
        express_party(tmp_path / "a", seed=True) as alice,
        member(tmp_path / "stick") as other,
    ):
        await other.swarm.share(artifact, other.directory)
        other.swarm.set_peers([alice.peer])
        alice.swarm.set_peers([other.peer])
        counts = await fetched(alice, artifact)
        assert counts.received <= SIZE - usb
        assert alice.content(artifact) == content
