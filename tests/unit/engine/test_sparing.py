"""A seed guesses what devices make themselves by what its own older packs make."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from p2pupd.core.handout import WORTH_IT
from p2pupd.engine.sparing import made_of
from tests.contents import artifact_of
from tests.packing import noise, packed, prose, reused

OLD = noise(WORTH_IT) + prose(WORTH_IT)
NEW = OLD[:WORTH_IT] + noise(WORTH_IT // 4, seed=2) + OLD[WORTH_IT:]
BEFORE = packed(OLD)
AFTER = packed(NEW, BEFORE)
ARTIFACT = artifact_of(AFTER.raw)


def everything(pieces: range) -> bool:
    return True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "before").write_bytes(BEFORE.raw)
    (tmp_path / "image").write_bytes(OLD)
    (tmp_path / "cut").write_bytes(BEFORE.raw[:-1])
    (tmp_path / "after").write_bytes(AFTER.raw)
    return tmp_path


def test_what_older_packs_make_is_told(path: Path) -> None:
    others = [path / name for name in ("no", "image", "cut", "before")]
    made = made_of(path / "after", ARTIFACT, others, everything)
    assert made is not None
    assert made == reused(AFTER, BEFORE.source).keys()
    assert len(made) > ARTIFACT.pieces // 2


def test_without_older_packs_nothing_is(path: Path) -> None:
    assert made_of(path / "after", ARTIFACT, [path / "image"], everything) == frozenset()


def test_of_what_is_no_pack_nothing_is(path: Path) -> None:
    for name in ("image", "no"):
        assert made_of(path / name, ARTIFACT, [path / "before"], everything) == frozenset()


def test_it_is_not_known_before_the_header_is_here(path: Path) -> None:
    small = replace(ARTIFACT, piece_length=4096)
    header = -(-AFTER.header.length // 4096)
    assert header > 2
    for here, known in [(1, False), (header - 1, False), (header, True)]:
        is_known = partial(_within, here)
        found = made_of(path / "after", small, [path / "before"], is_known)
        assert (found is not None) is known


def _within(here: int, pieces: range) -> bool:
    return pieces.stop <= here


def test_a_damaged_header_makes_nothing(path: Path) -> None:
    damaged = bytearray(AFTER.raw)
    damaged[12] ^= 1
    (path / "after").write_bytes(damaged)
    assert made_of(path / "after", ARTIFACT, [path / "before"], everything) == frozenset()
