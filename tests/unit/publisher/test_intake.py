"""Taking an image in: one pass, all or nothing, and what a killed run left is cleared away."""

import fcntl
import os
import stat
from pathlib import Path

import pytest

from p2pupd.core.piece_layer import PieceLayer
from p2pupd.errors import HostError, SpaceError, UsageError
from p2pupd.publisher.intake import length_of, take_in
from p2pupd.publisher.packing import Packing

RAW = Packing(raw=True)


def quiet(_: int) -> None:
    """Nobody watches."""


def an_image(directory: Path, size: int = 3_000_000) -> Path:
    path = directory / "image.img"
    path.write_bytes(os.urandom(size))
    return path


def test_an_image_gets_its_name_only_when_it_is_placed(tmp_path: Path) -> None:
    image, targets = an_image(tmp_path), tmp_path / "targets"
    with take_in(image, targets, RAW, quiet) as incoming:
        assert [each.name.startswith(".incoming-") for each in targets.iterdir()] == [True]
        incoming.place(targets / "line" / "final.img")
    assert [str(each.relative_to(targets)) for each in targets.rglob("*.img")] == ["line/final.img"]
    assert (targets / "line" / "final.img").read_bytes() == image.read_bytes()
    assert not list(targets.glob(".incoming-*"))


def test_what_is_not_placed_is_gone(tmp_path: Path) -> None:
    with take_in(an_image(tmp_path), tmp_path / "targets", RAW, quiet):
        pass
    assert list((tmp_path / "targets").iterdir()) == []


def test_writing_to_the_image_afterwards_changes_nothing(tmp_path: Path) -> None:
    image, final = an_image(tmp_path), tmp_path / "targets" / "final"
    before = image.read_bytes()
    with take_in(image, tmp_path / "targets", RAW, quiet) as incoming:
        incoming.place(final)
    with open(image, "r+b") as file:
        file.write(b"overwritten")
    assert final.read_bytes() == before


def test_the_copy_of_a_killed_run_is_cleared_away_and_a_living_ones_is_not(tmp_path: Path) -> None:
    targets = tmp_path / "targets"
    targets.mkdir()
    dead, alive = targets / ".incoming-dead", targets / ".incoming-alive"
    dead.write_bytes(b"half")
    with open(alive, "wb") as held:
        fcntl.flock(held.fileno(), fcntl.LOCK_EX)
        with take_in(an_image(tmp_path), targets, RAW, quiet):
            assert not dead.exists()
            assert alive.exists()


@pytest.mark.parametrize("kind", ["empty", "directory", "fifo", "device"])
def test_what_is_no_image_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thing"
    if kind == "empty":
        path.touch()
    elif kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path = Path("/dev/zero")
    for attempt in (
        lambda: length_of(path),
        lambda: take_in(path, tmp_path, RAW, quiet).__enter__(),
    ):
        with pytest.raises(UsageError, match=r"is empty|no regular file"):
            attempt()


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot read .*absent\.img: No such file"):
        length_of(tmp_path / "absent.img")


def test_an_image_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    image = an_image(tmp_path)

    def meddle(done: int) -> None:
        if done == 1 << 20:
            os.truncate(image, 2_000_000)

    with (
        pytest.raises(HostError, match="changed while it was read"),
        take_in(image, tmp_path / "targets", RAW, meddle),
    ):
        pass
    assert list((tmp_path / "targets").iterdir()) == []


def test_too_little_room_is_said_before_copying(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 1 << 43)
    seen: list[int] = []
    with (
        pytest.raises(SpaceError, match="has room for") as caught,
        take_in(image, tmp_path / "targets", RAW, seen.append),
    ):
        pass
    assert caught.value.code == 60
    assert seen == []


def test_a_place_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(HostError, match="file"),
        take_in(an_image(tmp_path), tmp_path / "targets", RAW, quiet) as incoming,
    ):
        incoming.place(tmp_path / "file" / "final.img")
    (tmp_path / "taken").mkdir()
    with (
        pytest.raises(HostError, match="cannot write"),
        take_in(an_image(tmp_path), tmp_path / "targets", RAW, quiet) as incoming,
    ):
        incoming.place(tmp_path / "taken")


def test_the_copy_is_for_everybody_to_read(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with take_in(an_image(tmp_path), tmp_path / "targets", RAW, quiet) as incoming:
            incoming.place(tmp_path / "targets" / "final")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "targets" / "final").stat().st_mode) == 0o644


@pytest.mark.parametrize("size", [1, 16384, 3_000_000])
def test_the_piece_layer_is_placed_beside_the_copy_and_proves_itself(
    tmp_path: Path, size: int
) -> None:
    final = tmp_path / "targets" / "final.img"
    image = an_image(tmp_path, size)
    with take_in(image, tmp_path / "targets", RAW, quiet) as incoming:
        incoming.place(final)
    layer = PieceLayer.proved(
        incoming.carried.artifact, (tmp_path / "targets" / "final.img.layer").read_bytes()
    )
    assert layer.matches(0, image.read_bytes()[:16384])
