"""What a seed carries: each release once, and nothing that its signers took back."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from p2pupd.core.allowance import Allowance
from p2pupd.core.merkle import PiecesRoot
from p2pupd.core.piece_layer import PieceLayer
from p2pupd.engine.carrying import Carrier
from p2pupd.engine.content import Content
from p2pupd.engine.messages import Ticket
from p2pupd.engine.tasks import Tasks
from p2pupd.errors import FetchError
from p2pupd.feeds.interface import Offer
from p2pupd.model.device import ByteCounts, Role
from p2pupd.model.ids import ComponentId, DeviceId, Sha256
from p2pupd.model.release import Artifact, Manifest, Release
from p2pupd.model.setting import Bytes
from p2pupd.store.disk import DiskStore
from p2pupd.store.settings import StoreSettings
from p2pupd.swarm.interface import Holdings, Injected, ProgressListener, SwarmPeer
from tests.builders import a_release
from tests.support import eventually


class SilentSwarm:
    """Nobody has anything."""

    listen_port = 0

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def fetch(self, artifact: Artifact, directory: Path, _: ProgressListener) -> ByteCounts:
        await asyncio.Event().wait()
        return ByteCounts()

    async def share(self, artifact: Artifact, directory: Path) -> None: ...

    async def supply(self, artifact: Artifact, directory: Path, layer: PieceLayer) -> None: ...

    async def inject(
        self, artifact: Artifact, piece: int, content: bytes, source: Injected
    ) -> None: ...

    def hold_back(self, artifact: Artifact, pieces: Collection[int]) -> None: ...

    async def holdings(self, artifact: Artifact) -> Holdings:
        return Holdings((False,) * 64, (False,) * 64)

    async def drop(self, artifact: Artifact) -> None: ...

    def limit(self, allowance: Allowance) -> None: ...

    def set_peers(self, peers: Sequence[SwarmPeer]) -> None: ...

    def counts(self, artifact: Artifact) -> ByteCounts:
        return ByteCounts()


def _note(event: str, **fields: Any) -> None: ...


def a_new(content: bytes) -> Release:
    """Release 2, which the stick has."""
    digest = Sha256(hashlib.sha256(content).hexdigest())
    root = PiecesRoot()
    root.update(content)
    artifact = Artifact(len(content), digest, Sha256(root.digest().hex()), 1 << 14)
    return a_release(2, artifact=artifact)


def _open(release: Release) -> io.BytesIO:
    if release.release != 2:
        raise FetchError("targets/x is not there", reason="not-on-stick")
    return io.BytesIO(b"two")


STICK = Offer("usb:/media/x", b"", _open)


def a_manifest(*releases: Release) -> Manifest:
    return Manifest("0" * 64, 1, releases, issued=0, expires=1)


@asynccontextmanager
async def carrier(directory: Path, role: Role) -> AsyncIterator[Carrier]:
    async with asyncio.TaskGroup() as group:
        tasks = Tasks(group)
        store = DiskStore(directory, StoreSettings(reserve=Bytes(0)))
        content = Content(store, SilentSwarm(), tasks, _note, own=DeviceId("me"))
        yield Carrier(content, role, tasks, _note, lambda: None)
        for task in running():
            task.cancel()


def running() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def names() -> list[str]:
    return sorted(task.get_name()[:5] for task in running() if task.get_name()[:5] == "carry")


async def test_a_manifest_that_comes_again_starts_nothing_twice(tmp_path: Path) -> None:
    async with carrier(tmp_path, Role.SEED) as this:
        for _ in range(50):
            this.manifest_accepted(a_manifest(a_release(1), a_release(2)), None)
            await asyncio.sleep(0)
        assert names() == ["carry", "carry"]


async def test_a_release_that_was_taken_back_is_waited_for_no_longer(tmp_path: Path) -> None:
    async with carrier(tmp_path, Role.SEED) as this:
        this.manifest_accepted(a_manifest(a_release(1), a_release(2)), None)
        await asyncio.sleep(0)
        this.manifest_accepted(a_manifest(a_release(2)), None)
        await eventually(lambda: names() == ["carry"])
        assert this.wanted() == {a_release(2).artifact.sha256}


async def test_what_a_stick_brought_is_kept_while_the_manifest_names_it(tmp_path: Path) -> None:
    async with carrier(tmp_path, Role.PEER) as this:
        this.stick_came(a_manifest(a_release(1), a_release(2)), "usb:/media/x", None)
        this.manifest_accepted(a_manifest(a_release(2), a_release(3)), None)
        assert this.wanted() == {a_release(2).artifact.sha256}


@pytest.mark.parametrize("role", [Role.SEED, Role.PEER])
async def test_what_a_newer_release_supersedes_is_neither_waited_for_nor_shown(
    tmp_path: Path, role: Role
) -> None:
    """A stick leaves it out, and that is all right."""
    old, new, panel = a_release(1), a_new(b"two"), a_release(3, component=ComponentId("panel"))
    async with carrier(tmp_path, role) as this:
        ticket = Ticket(asyncio.get_running_loop().create_future())
        this._content.source_came(STICK)
        this.stick_came(a_manifest(old, new, panel), STICK.source, ticket)
        outcome = await asyncio.wait_for(ticket.done, 10)
        assert outcome.carried == (new,)
        assert outcome.lost == ()
        waited_for = {panel, new} if role is Role.SEED else {new, panel}
        await eventually(lambda: {each.release for each in this._content.transfers()} == waited_for)
        await eventually(lambda: names() == (["carry"] if role is Role.SEED else []))
        this.manifest_accepted(a_manifest(old, new, panel), None)
        await asyncio.sleep(0)
        assert old not in {each.release for each in this._content.transfers()}


async def test_a_seed_leaves_the_older_release_when_the_newer_one_is_here(tmp_path: Path) -> None:
    old, new = a_release(1), a_new(b"two")
    async with carrier(tmp_path, Role.SEED) as this:
        this.manifest_accepted(a_manifest(old, new), None)
        await eventually(lambda: len(this._content.transfers()) == 2)
        this._content.source_came(STICK)
        await eventually(lambda: [each.release for each in this._content.transfers()] == [new])
        assert names() == []


async def test_a_stick_that_lacks_everything_is_not_enough_for_a_seed(tmp_path: Path) -> None:
    async with carrier(tmp_path, Role.SEED) as this:
        ticket = Ticket(asyncio.get_running_loop().create_future())
        this._content.source_came(STICK)
        this.stick_came(a_manifest(a_release(1), a_release(3)), STICK.source, ticket)
        [(release, error)] = (await asyncio.wait_for(ticket.done, 10)).lost
        assert (release, error.reason, error.code) == (a_release(3), "not-on-stick", 14)
