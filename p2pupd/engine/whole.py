"""Copies the whole file of a source that knows no pieces, and keeps account of it.

Nothing of a copy is proved before its end, so until then it counts as nobody's; but the ledger says
already whose it will be. After a kill the next copy learns from it where the start came from.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from p2pupd.errors import ContentError
from p2pupd.host.layer_files import kept_layer
from p2pupd.model.release import Artifact
from p2pupd.store.interface import CopyProgress, Store
from p2pupd.swarm import ledger
from p2pupd.swarm.interface import Injected
from p2pupd.swarm.ledger import Ledger
from p2pupd.swarm.piece_file import PieceFile

NOTED_AHEAD: Final = 32 * 1024 * 1024
"""Bytes that are noted before they are copied."""


def proved(artifact: Artifact, directory: Path) -> list[bool]:
    """Which pieces in `directory` are right, as far as a kept piece layer tells. Blocks.

    Raises FetchError.
    """
    layer = kept_layer(artifact, directory)
    if layer is None:
        return [False] * artifact.pieces
    return PieceFile(artifact, directory).search(layer)


def copy_whole(
    store: Store,
    artifact: Artifact,
    directory: Path,
    source: Injected,
    *,
    here: Sequence[bool],
    opened: Callable[[], BinaryIO],
    progress: CopyProgress,
) -> None:
    """Copy it into the store, after the start that there may be in `directory`.

    Pieces that are `here`, proved, stay those of whoever brought them, though they are copied over.
    Where the source is wrong, they are all that stays.
    Blocks. Raises as `Store.import_from` does, and what `progress` raises.
    """
    account = _Account(artifact, directory, source, here)

    def copied(done: int) -> None:
        account.copied(done)
        progress(done)

    try:
        store.import_from(artifact, opened, copied, here)
    except ContentError:
        raise
    except BaseException:
        account.close()
        raise
    account.close()


class _Account:
    """`start` is where this copy began to write, None before it did."""

    def __init__(
        self, artifact: Artifact, directory: Path, source: Injected, here: Sequence[bool]
    ) -> None:
        self._artifact = artifact
        self._here = here
        self._directory = directory
        self._source = source
        before = ledger.read(artifact, directory)
        self._before = None if before is None else before.marks
        self._start: int | None = None
        self._done = 0
        self._noted = 0

    def copied(self, done: int) -> None:
        """So much is there, and what comes next is noted before it is written."""
        if self._start is None or done < self._done:
            self._start = self._noted = done
        self._done = done
        if self._noted <= done < self._artifact.length:
            self._noted = done + NOTED_AHEAD
            self._note(self._noted)

    def close(self) -> None:
        """Nothing more is written."""
        self._note(self._done)

    def _note(self, end: int) -> None:
        """From the start to `end` it is the source's; elsewhere as it was before."""
        artifact = self._artifact
        if self._start is None or self._start == artifact.length:
            return
        book = Ledger(artifact, self._before)
        first, last = self._start // artifact.piece_length, -(-end // artifact.piece_length)
        copied = range(first, min(last, artifact.pieces))
        book.take_over((piece for piece in copied if not self._here[piece]), self._source)
        ledger.write_if_possible(book.marks, artifact, self._directory)
