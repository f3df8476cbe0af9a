"""The file of an artifact that fills up piece by piece."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from p2pupd.errors import FetchError
from p2pupd.host.layer_files import layer_of_file
from p2pupd.model.release import Artifact
from p2pupd.swarm.piece_file import PieceFile
from tests.swarming import an_artifact

PIECE = 16384
SIZE = 10 * PIECE + 5


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """The kernel writes what fits and refuses the rest, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def a_file(directory: Path) -> tuple[PieceFile, Artifact, list[bytes]]:
    """An empty one in `directory`, and the pieces that belong into it."""
    artifact, content = an_artifact(directory / "seed", SIZE)
    (directory / "a").mkdir()
    pieces = [content[at : at + PIECE] for at in range(0, SIZE, PIECE)]
    return PieceFile(artifact, directory / "a"), artifact, pieces


@pytest.mark.parametrize("fits", [4 * PIECE, 7 * PIECE, 9 * PIECE + 1])
def test_what_was_written_in_part_only_is_an_error(tmp_path: Path, fits: int) -> None:
    file, _, pieces = a_file(tmp_path)
    with files_no_longer_than(fits), pytest.raises(FetchError, match="too large"):
        file.write(0, *pieces)


def test_pieces_in_any_order_are_found_again(tmp_path: Path) -> None:
    file, artifact, pieces = a_file(tmp_path)
    layer = layer_of_file(artifact, tmp_path / "seed")
    assert file.empty()
    file.write(8, *pieces[8:])
    file.write(2, *(memoryview(each) for each in pieces[2:4]))
    assert file.complete()
    file.sync()
    here = PieceFile(artifact, tmp_path / "a").search(layer)
    assert [piece for piece, there in enumerate(here) if there] == [2, 3, 8, 9, 10]


@pytest.mark.parametrize("searched", [True, False])
def test_a_file_that_vanishes_is_not_made_anew(tmp_path: Path, searched: bool) -> None:
    file, artifact, pieces = a_file(tmp_path)
    path = tmp_path / "a" / artifact.pieces_root
    file.write(0, pieces[0])
    if searched:
        file = PieceFile(artifact, tmp_path / "a")
        file.search(layer_of_file(artifact, tmp_path / "seed"))
    path.unlink()
    with pytest.raises(FetchError, match="No such file"):
        file.write(1, pieces[1])
    with pytest.raises(FetchError, match="No such file"):
        file.sync()
    assert not path.exists()


def test_another_file_in_its_place_is_an_error(tmp_path: Path) -> None:
    file, artifact, pieces = a_file(tmp_path)
    path = tmp_path / "a" / artifact.pieces_root
    file.write(0, pieces[0])
    path.rename(path.with_suffix(".old"))
    path.write_bytes(bytes(SIZE))
    with pytest.raises(FetchError, match="replaced"):
        file.write(1, pieces[1])
    with pytest.raises(FetchError, match="replaced"):
        file.sync()
