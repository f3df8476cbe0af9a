"""Copies of whole files, and whose what they leave behind is."""

import io
import multiprocessing
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from p2pupd.engine.whole import copy_whole
from p2pupd.errors import ContentError, SourceGone
from p2pupd.model.release import Artifact
from p2pupd.store.disk import DiskStore
from p2pupd.store.settings import StoreSettings
from p2pupd.swarm import ledger
from p2pupd.swarm.interface import Injected
from p2pupd.swarm.ledger import Ledger, Sums
from tests.contents import artifact_of, payload

MIB = 1 << 20
SIZE = 8 * MIB
CONTENT = payload(SIZE)
ARTIFACT = artifact_of(CONTENT)


def ignore(_: int) -> None:
    """Progress that nobody looks at."""


class Breaking(io.BytesIO):
    """A stick that is pulled, or a device that loses its power, after so many bytes."""

    def __init__(self, after: int, *, power: bool = False) -> None:
        super().__init__(CONTENT)
        self._after = after
        self._power = power

    def readinto(self, buffer: Any) -> int:
        if self.tell() >= self._after:
            if self._power:
                os.kill(os.getpid(), signal.SIGKILL)
            raise SourceGone("it was pulled")
        return super().readinto(buffer)


def a_store(path: Path) -> DiskStore:
    return DiskStore(path, StoreSettings())


def copied(path: Path, source: Injected, file: io.BytesIO, there: range = range(0)) -> None:
    """Pieces in `there` are proved already."""
    store = a_store(path)
    here = [piece in there for piece in range(ARTIFACT.pieces)]
    copying = partial(copy_whole, store, ARTIFACT, store.place(ARTIFACT), source)
    copying(here=here, opened=lambda: file, progress=ignore)


def sums(path: Path, artifact: Artifact = ARTIFACT) -> Sums:
    found = ledger.read(artifact, path / artifact.sha256)
    assert found is not None
    return {source: count for source, count in found.sums.items() if count}


def test_what_a_pulled_stick_left_stays_its_own_when_an_uplink_goes_on(tmp_path: Path) -> None:
    with pytest.raises(SourceGone):
        copied(tmp_path, Injected.USB, Breaking(5 * MIB))
    assert sums(tmp_path) == {Injected.USB: 5 * MIB}
    copied(tmp_path, Injected.UPLINK, io.BytesIO(CONTENT))
    assert sums(tmp_path) == {Injected.USB: 5 * MIB, Injected.UPLINK: 3 * MIB}


def test_a_power_cut_does_not_change_whose_the_start_is(tmp_path: Path) -> None:
    """What was copied last is noted before it is written, and ends where the file does."""
    fork = multiprocessing.get_context("fork")
    process = fork.Process(
        target=copied, args=(tmp_path, Injected.USB, Breaking(5 * MIB, power=True))
    )
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    copied(tmp_path, Injected.UPLINK, io.BytesIO(CONTENT))
    assert sums(tmp_path) == {Injected.USB: 5 * MIB, Injected.UPLINK: 3 * MIB}


def test_a_wrong_start_is_copied_again_and_is_nobody_elses(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    directory = store.place(ARTIFACT)
    (directory / ARTIFACT.pieces_root).write_bytes(bytes(4 * MIB))
    before = Ledger(ARTIFACT)
    before.take_over(range(100), Injected.UPLINK)
    ledger.write(before.marks, ARTIFACT, directory)
    copied(tmp_path, Injected.USB, io.BytesIO(CONTENT))
    assert sums(tmp_path) == {Injected.USB: SIZE}


def test_what_neighbours_brought_before_stays_theirs(tmp_path: Path) -> None:
    size = ARTIFACT.piece_length
    copied(tmp_path, Injected.USB, io.BytesIO(CONTENT), range(100, 110))
    assert sums(tmp_path) == {Injected.USB: SIZE - 10 * size}


def test_of_a_copy_that_is_wrong_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(ContentError):
        copied(tmp_path, Injected.USB, io.BytesIO(bytes(SIZE)))
    assert not (tmp_path / ARTIFACT.sha256).exists()


@pytest.mark.parametrize("proved", [range(70), range(100, 110)])
def test_of_a_copy_that_is_wrong_what_others_had_proved_stays(
    tmp_path: Path, proved: range
) -> None:
    size = ARTIFACT.piece_length
    theirs = slice(proved.start * size, proved.stop * size)
    path = a_store(tmp_path).place(ARTIFACT) / ARTIFACT.pieces_root
    with path.open("wb") as file:
        file.seek(theirs.start)
        file.write(CONTENT[theirs])
    with pytest.raises(ContentError):
        copied(tmp_path, Injected.USB, io.BytesIO(bytes(SIZE)), proved)
    assert path.read_bytes()[theirs] == CONTENT[theirs]
    copied(tmp_path, Injected.USB, io.BytesIO(CONTENT), proved)
    assert path.read_bytes() == CONTENT


def test_a_right_copy_mends_what_was_only_believed_to_be_proved(tmp_path: Path) -> None:
    """The swarm tells of a piece before it is on the disk."""
    path = a_store(tmp_path).place(ARTIFACT) / ARTIFACT.pieces_root
    path.write_bytes(b"x" * SIZE)
    copied(tmp_path, Injected.USB, io.BytesIO(CONTENT), range(100, 110))
    assert path.read_bytes() == CONTENT


def test_what_is_here_already_is_not_noted_anew(tmp_path: Path) -> None:
    copied(tmp_path, Injected.USB, io.BytesIO(CONTENT))
    copied(tmp_path, Injected.UPLINK, io.BytesIO(CONTENT))
    assert sums(tmp_path) == {Injected.USB: SIZE}
