"""Directories in which repositories appear, change and vanish."""

import os
import shutil
from pathlib import Path

import pytest

from p2pupd.errors import SourceGone, UnsafeMedia
from p2pupd.feeds.directory import DirectoryFeed
from p2pupd.feeds.medium import Medium, read_offer
from p2pupd.feeds.settings import MediaSettings
from p2pupd.model.setting import Seconds
from p2pupd.wire import bundle as wire
from tests.contents import payload
from tests.sticks import Heard, layer_path, metadata, released, write_repository
from tests.support import eventually, running

CONTENT = payload(5000)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "drop"


@pytest.fixture
def feed(place: Path) -> DirectoryFeed:
    return DirectoryFeed(MediaSettings(directories=(place,), poll=Seconds(0.02)))


async def test_a_repository_that_appears_is_offered_and_its_end_is_told(
    place: Path, feed: DirectoryFeed, tmp_path: Path
) -> None:
    heard = Heard()
    write_repository(tmp_path / "made" / "p2pupd", CONTENT)
    async with running(feed.run(heard)):
        os.rename(tmp_path / "made", place)
        (offer,) = await eventually(lambda: heard.offers)
        assert offer.source == f"directory:{place}"
        os.rename(place, tmp_path / "made")
        assert await eventually(lambda: heard.gone) == [offer.source]
        assert offer.open_content is not None
        assert offer.open_layer is not None
        for opener in (offer.open_content, offer.open_layer):
            with pytest.raises(SourceGone):
                opener(released(CONTENT))
        (tmp_path / "made" / "p2pupd" / layer_path(released(CONTENT))).write_bytes(bytes(32))
        os.rename(tmp_path / "made", place)
        await eventually(lambda: len(heard.offers) == 2)
        assert heard.offers[1].open_content is not None
        with heard.offers[1].open_content(released(CONTENT)) as file:
            assert file.read() == CONTENT
        assert heard.offers[1].open_layer is not None
        assert heard.offers[1].open_layer(released(CONTENT)) == bytes(32), "as it is, not believed"


async def test_a_change_is_offered_again(place: Path, feed: DirectoryFeed) -> None:
    heard = Heard()
    write_repository(place, CONTENT)
    async with running(feed.run(heard)):
        await eventually(lambda: heard.offers)
        write_repository(place, CONTENT, version=2)
        await eventually(lambda: wire.decode(heard.offers[-1].bundle).files == metadata(2))


async def test_what_is_unsafe_is_refused_once_and_taken_when_it_was_repaired(
    place: Path, feed: DirectoryFeed, tmp_path: Path
) -> None:
    heard = Heard()
    write_repository(place, CONTENT)
    os.rename(place / "metadata", tmp_path / "moved")
    (place / "metadata").symlink_to(tmp_path / "moved")
    async with running(feed.run(heard)):
        await eventually(lambda: heard.refused)
        (place / "metadata").unlink()
        shutil.copytree(tmp_path / "moved", place / "metadata")
        await eventually(lambda: heard.offers)
    assert [type(error) for _, error in heard.refused] == [UnsafeMedia]


def test_what_an_operator_points_at_is_read_at_once(place: Path) -> None:
    write_repository(place, CONTENT)
    offer = read_offer(place)
    assert offer.source == f"import:{place}"
    assert wire.decode(offer.bundle).files == metadata()


def test_a_medium_that_was_removed_offers_nothing(place: Path) -> None:
    write_repository(place, CONTENT)
    medium = Medium("usb", place, MediaSettings())
    medium.removed()
    with pytest.raises(SourceGone):
        medium.offer()


def test_a_source_is_named_so_that_it_can_be_printed(tmp_path: Path) -> None:
    name = Medium("usb", Path(os.fsdecode(b"/media/\xff")), MediaSettings()).source
    assert name == "usb:/media/\\xff"


async def test_a_medium_that_left_early_or_too_late_tells_nobody(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    write_repository(place, CONTENT)
    medium = Medium("usb", place, MediaSettings())
    medium.removed()
    await medium.present(heard)
    (place / "metadata" / "1.root.json").unlink()
    (place / "metadata" / "1.root.json").symlink_to("x")
    await medium.present(heard)
    assert heard == Heard()
    assert "media.left-early" in caplog.text
