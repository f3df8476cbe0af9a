"""Which source each piece came from, as it is kept beside a file."""

import logging
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.model.ids import Sha256
from p2pupd.swarm import ledger
from p2pupd.swarm.interface import Injected
from p2pupd.swarm.ledger import Ledger
from tests.builders import a_release

KIB = 1024
PIECE = 16 * KIB
ARTIFACT = replace(
    a_release().artifact, length=10 * PIECE + 5, pieces_root=Sha256("ab" * 32), piece_length=PIECE
)
ALL = [True] * ARTIFACT.pieces
NOTHING = [False] * ARTIFACT.pieces


def kept(path: Path, book: Ledger) -> Ledger:
    ledger.write(book.marks, ARTIFACT, path)
    found = ledger.read(ARTIFACT, path)
    assert found is not None
    return found


def test_a_piece_belongs_to_the_source_that_brought_it_first() -> None:
    book = Ledger(ARTIFACT)
    book.mark(0, Injected.USB)
    book.mark(0, Injected.UPLINK)
    book.mark(10, Injected.UPLINK)
    book.mark(1, Injected.LAN)
    assert book.sums == {Injected.USB: PIECE, Injected.UPLINK: 5}


def test_what_was_noted_is_known_after_a_start_and_confirmed_by_what_is_there(
    tmp_path: Path,
) -> None:
    book = Ledger(ARTIFACT)
    assert book.confirmed
    for piece in (0, 1, 2):
        book.mark(piece, Injected.USB)
    again = kept(tmp_path, book)
    assert not again.confirmed
    assert again.sums == {Injected.USB: 3 * PIECE}
    again.confirm([True, False, True, *[False] * 8])
    assert again.sums == {Injected.USB: 2 * PIECE}
    again.confirm(NOTHING)
    assert again.sums == {Injected.USB: 2 * PIECE}


def test_pieces_are_noted_ahead_and_count_when_they_have_come(tmp_path: Path) -> None:
    book = Ledger(ARTIFACT)
    assert not book.expects(0, Injected.USB)
    assert book.expects(0, Injected.LAN)
    book.mark(3, Injected.UPLINK)
    book.expect(0, Injected.USB, [False, True, *[False] * 9])
    assert [book.expects(piece, Injected.USB) for piece in range(4)] == [True, False, True, False]
    assert book.sums == {Injected.UPLINK: PIECE}
    assert kept(tmp_path, book).sums == {Injected.USB: 8 * PIECE + 5, Injected.UPLINK: PIECE}
    book.mark(0, Injected.USB)
    book.mark(4, Injected.UPLINK)
    book.expect_no_more()
    assert kept(tmp_path, book).sums == {Injected.USB: PIECE, Injected.UPLINK: 2 * PIECE}


def test_a_copy_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    book = Ledger(ARTIFACT)
    book.mark(0, Injected.UPLINK)
    book.mark(9, Injected.UPLINK)
    book.take_over(range(8, 11), Injected.USB)
    assert book.sums == {Injected.UPLINK: PIECE, Injected.USB: 2 * PIECE + 5}
    again = kept(tmp_path, book)
    again.confirm(ALL)
    assert again.sums == book.sums


@pytest.mark.parametrize(
    "content",
    [
        b"rubbish",
        zlib.compress(bytes(10)),
        zlib.compress(bytes(12)),
        zlib.compress(b"\4" * 11),
        bytes(5000),
    ],
)
def test_a_damaged_ledger_is_dropped(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert ledger.read(ARTIFACT, tmp_path) is None
    (tmp_path / f"{ARTIFACT.pieces_root}{ledger.SUFFIX}").write_bytes(content)
    assert ledger.read(ARTIFACT, tmp_path) is None
    assert "swarm.ledger-dropped" in caplog.text


def test_what_cannot_be_written_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ledger.write_if_possible(Ledger(ARTIFACT).marks, ARTIFACT, tmp_path / "missing")
    assert "swarm.ledger-not-written" in caplog.text
