"""Sticks that are put in and pulled out, as far as this machine can mount."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from p2pupd.errors import HostError, SourceGone, UnsafeMedia
from p2pupd.feeds.settings import MediaSettings
from p2pupd.feeds.usb import UsbFeed
from p2pupd.host.mounts import Mount
from p2pupd.store.disk import DiskStore
from p2pupd.store.settings import StoreSettings
from p2pupd.wire import bundle as wire
from tests.contents import payload
from tests.sticks import Heard, metadata, mounted, released, write_repository
from tests.support import eventually, needs_root, running

CONTENT = payload(3 << 20)
RELEASE = released(CONTENT)


def mount_of(point: Path, number: int = 1, kind: str = "vfat", device: str = "8:17") -> Mount:
    return Mount(number, 0, device, "/", point, ("rw",), kind, "/dev/sdb1", ())


class Table:
    """A mount table that the test writes."""

    def __init__(self) -> None:
        self._news: asyncio.Queue[tuple[Mount, ...]] = asyncio.Queue()

    def now(self, *mounts: Mount) -> None:
        self._news.put_nowait(mounts)

    async def watch(self) -> AsyncIterator[tuple[Mount, ...]]:
        while True:
            yield await self._news.get()


def feed(table: Table, root: Path, removable: bool = False) -> UsbFeed:
    settings = MediaSettings(mount_points=(root / "media",))
    return UsbFeed(settings, table.watch, lambda _: removable)


async def test_a_stick_is_offered_once_and_its_end_is_told(tmp_path: Path) -> None:
    point = tmp_path / "media" / "stick"
    write_repository(point / "p2pupd", CONTENT)
    table, heard = Table(), Heard()
    async with running(feed(table, tmp_path).run(heard)):
        table.now(mount_of(point))
        (offer,) = await eventually(lambda: heard.offers)
        assert offer.source == f"usb:{point}"
        assert wire.decode(offer.bundle).files == metadata()
        assert offer.open_content is not None
        with offer.open_content(RELEASE) as file:
            table.now(mount_of(point), mount_of(tmp_path, 2))
            table.now()
            await eventually(lambda: heard.gone)
            with pytest.raises(SourceGone):
                file.read()
        with pytest.raises(SourceGone):
            offer.open_content(RELEASE)
    assert (len(heard.offers), heard.gone) == (1, [offer.source])


async def test_only_mounts_that_may_be_sticks_are_looked_at(tmp_path: Path) -> None:
    write_repository(tmp_path / "p2pupd", CONTENT)
    write_repository(tmp_path / "media" / "net" / "p2pupd", CONTENT)
    write_repository(tmp_path / "media" / "last" / "p2pupd", CONTENT)
    table, heard = Table(), Heard()
    async with running(feed(table, tmp_path).run(heard)):
        table.now(
            mount_of(tmp_path, 1),
            mount_of(Path("/"), 2),
            mount_of(tmp_path / "media" / "net", 3, kind="nfs4"),
            mount_of(tmp_path / "media" / "hidden", 4),
            mount_of(tmp_path / "media" / "hidden", 5, kind="overlay"),
            mount_of(tmp_path / "media" / "last", 6),
        )
        await eventually(lambda: heard.offers)
    assert [offer.source for offer in heard.offers] == [f"usb:{tmp_path}/media/last"]


async def test_a_removable_device_is_a_stick_wherever_it_is_mounted(tmp_path: Path) -> None:
    write_repository(tmp_path / "odd", CONTENT)
    table, heard = Table(), Heard()
    async with running(feed(table, tmp_path, removable=True).run(heard)):
        table.now(mount_of(tmp_path / "odd"))
        await eventually(lambda: heard.offers)


async def test_a_stick_without_a_repository_is_nobodys_business_and_an_unsafe_one_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "media" / "photos").mkdir(parents=True)
    bad = tmp_path / "media" / "bad"
    write_repository(bad / "p2pupd", CONTENT)
    (bad / "p2pupd" / "metadata" / "1.root.json").unlink()
    (bad / "p2pupd" / "metadata" / "1.root.json").symlink_to("/etc/passwd")
    table, heard = Table(), Heard()
    async with running(feed(table, tmp_path).run(heard)):
        table.now(mount_of(tmp_path / "media" / "photos", 1), mount_of(bad, 2))
        await eventually(lambda: heard.refused and "media.ignored" in caplog.text)
    assert heard.offers == []
    ((source, error),) = heard.refused
    assert (source, type(error)) == (f"usb:{bad}", UnsafeMedia)


async def test_a_stick_that_left_while_it_was_read_is_not_offered(tmp_path: Path) -> None:
    point = tmp_path / "media" / "stick"
    write_repository(point / "p2pupd", CONTENT)
    table, heard = Table(), Heard()
    table.now(mount_of(point))
    table.now()
    async with running(feed(table, tmp_path).run(heard)):
        await eventually(lambda: heard.gone)
    assert heard.offers == []


async def test_the_error_of_the_mount_table_comes_out(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[tuple[Mount, ...]]:
        yield (mount_of(tmp_path),)
        raise HostError("no mount table")

    with pytest.raises(HostError, match="no mount table"):
        await UsbFeed(MediaSettings(), broken).run(Heard())


@needs_root
async def test_a_real_stick_is_imported_read_only_with_no_command_typed(tmp_path: Path) -> None:
    heard = Heard()
    settings = MediaSettings(mount_points=(tmp_path,))
    point = tmp_path / "media" / "stick"
    with mounted(tmp_path / "elsewhere", CONTENT) as source:
        async with running(UsbFeed(settings).run(heard)):
            point.mkdir(parents=True)
            await eventually(lambda: heard.offers)
            subprocess.run(["mount", "--bind", source, point], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", point], check=True)
            try:
                await eventually(lambda: any(o.source == f"usb:{point}" for o in heard.offers))
                offer = next(o for o in heard.offers if o.source == f"usb:{point}")
                with pytest.raises(OSError, match="Read-only"):
                    (point / "x").touch()
                assert offer.open_content is not None
                with offer.open_content(RELEASE) as file:
                    assert file.read() == CONTENT
            finally:
                subprocess.run(["umount", "-l", point], check=True)
            await eventually(lambda: f"usb:{point}" in heard.gone)


@needs_root
async def test_a_stick_pulled_while_it_is_copied_goes_on_when_it_is_back(tmp_path: Path) -> None:
    heard = Heard()
    point = tmp_path / "media" / "stick"
    store = DiskStore(tmp_path / "store", StoreSettings())
    seen: list[int] = []

    async def import_(pull: bool) -> None:
        opener = heard.offers[-1].open_content
        assert opener is not None
        loop = asyncio.get_running_loop()

        def progress(done: int) -> None:
            seen.append(done)
            if pull and done:
                subprocess.run(["umount", "-l", point], check=True)
                asyncio.run_coroutine_threadsafe(eventually(lambda: heard.gone), loop).result(10)

        await asyncio.to_thread(
            store.import_from, RELEASE.artifact, lambda: opener(RELEASE), progress
        )

    async with running(UsbFeed(MediaSettings(mount_points=(tmp_path,))).run(heard)):
        with mounted(point, CONTENT):
            await eventually(lambda: heard.offers)
            with pytest.raises(SourceGone):
                await import_(pull=True)
            assert heard.gone == [f"usb:{point}"]
        with mounted(point, CONTENT):
            await eventually(lambda: len(heard.offers) == 2)
            await import_(pull=False)
    assert seen[:3] == [0, 1 << 20, 1 << 20]
    found = store.find(RELEASE.artifact.sha256)
    assert found is not None
    assert found.verified


def test_ignored_kinds_are_configurable() -> None:
    settings = MediaSettings(mount_points=(Path("/m"),), ignored_filesystems=("vfat",))
    feed = UsbFeed(settings, removable=lambda _: False)
    assert feed._sticks((mount_of(Path("/m/x")),)) == set()
    assert feed._sticks((mount_of(Path("/m/x"), kind="nfs"),))
