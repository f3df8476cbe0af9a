"""Which source each piece of an artifact came from, kept beside it as `<pieces root>.ledger`.

Only what was injected is noted; every other piece that is there came from neighbours. A piece is
noted before it is written, together with those that are expected next; so a kill at any moment
leaves nothing there that is not noted. What is noted and not there is dropped after a start.
"""

import logging
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from p2pupd.core.piece_layer import length_of_piece
from p2pupd.errors import HostError, UpdateError
from p2pupd.host.files import read_bounded, write_durably
from p2pupd.model.device import ByteCounts
from p2pupd.model.release import Artifact
from p2pupd.swarm.interface import Injected

SUFFIX: Final = ".ledger"
AHEAD: Final = 8 * 1024 * 1024
"""Bytes that are noted ahead of an injected piece."""

CODES: Final = {Injected.USB: 1, Injected.UPLINK: 2, Injected.REUSE: 3}
SOURCES: Final = {code: source for source, code in CODES.items()}
EXPECTED: Final = 0x80
"""Added to the code of a piece that is noted ahead."""
_UNEXPECTED: Final = bytes(0 if code & EXPECTED else code for code in range(256))
_PLAIN: Final = bytes(code & ~EXPECTED for code in range(256))
_SLACK: Final = 4096

log = logging.getLogger(__name__)

Sums = dict[Injected, int]
"""Bytes by source."""


def attributed(done: int, injected: Sums) -> tuple[int, Sums]:
    """(bytes from neighbours, bytes by other source) of the `done` that are there."""
    left, shares = done, {}
    for source in CODES:
        shares[source] = min(left, injected.get(source, 0))
        left -= shares[source]
    return left, shares


class Ledger:
    """One byte a piece. `sums`: bytes by source of what is noted, without what is only expected.

    `confirmed`: what was noted in an earlier run was compared with what is there.
    """

    def __init__(self, artifact: Artifact, marks: bytes | None = None) -> None:
        self._artifact = artifact
        self._marks = bytearray(artifact.pieces if marks is None else marks)
        self.confirmed = marks is None
        self.sums: Sums = {}
        for piece, code in enumerate(self._marks):
            if code:
                self._count(piece, code, 1)

    @property
    def marks(self) -> bytes:
        """What `write` takes."""
        return bytes(self._marks.translate(_PLAIN))

    def mark(self, piece: int, source: Injected) -> None:
        """It came from there, unless another source had it before."""
        if source in CODES and not 0 < self._marks[piece] < EXPECTED:
            self._marks[piece] = CODES[source]
            self._count(piece, CODES[source], 1)

    def take_over(self, pieces: Iterable[int], source: Injected) -> None:
        """These come from there, whoever had them before."""
        for piece in pieces:
            self._clear(piece)
            self.mark(piece, source)

    def expects(self, piece: int, source: Injected) -> bool:
        """Whether it may be written without noting more first."""
        return source not in CODES or self._marks[piece] & ~EXPECTED == CODES[source]

    def expect(self, first: int, source: Injected, here: Sequence[bool]) -> None:
        """Note ahead, from `first` on, what is not `here`: `write` it before a byte is."""
        window = max(1, AHEAD // self._artifact.piece_length)
        for piece in range(first, min(first + window, len(self._marks))):
            if not here[piece] and not 0 < self._marks[piece] < EXPECTED:
                self._marks[piece] = CODES[source] | EXPECTED

    def expect_no_more(self) -> None:
        """Nothing is injected for now: only what came counts."""
        self._marks = self._marks.translate(_UNEXPECTED)

    def confirm(self, here: Sequence[bool]) -> None:
        """Drop what an earlier run noted and is not there."""
        if not self.confirmed:
            self.confirmed = True
            for piece, there in enumerate(here):
                if not there:
                    self._clear(piece)

    def account(self, done: int, received: int, *, tracked: bool) -> ByteCounts:
        """By source what is there of an artifact, `done` bytes, as far as that is known.

        `received` bytes came from neighbours. If `tracked`, all that is there and was not injected
        came from them.
        """
        lan, shares = received, self.sums
        if tracked:
            lan, shares = attributed(done, shares) if self.confirmed else (0, Sums())
        return ByteCounts(
            lan=lan,
            usb=shares.get(Injected.USB, 0),
            uplink=shares.get(Injected.UPLINK, 0),
            reuse=shares.get(Injected.REUSE, 0),
            received=received,
        )

    def _clear(self, piece: int) -> None:
        code = self._marks[piece]
        self._marks[piece] = 0
        if 0 < code < EXPECTED:
            self._count(piece, code, -1)

    def _count(self, piece: int, code: int, sign: int) -> None:
        source, length = SOURCES[code], length_of_piece(self._artifact, piece)
        self.sums[source] = self.sums.get(source, 0) + sign * length


def read(artifact: Artifact, directory: Path) -> Ledger | None:
    """What was noted in earlier runs; None without a ledger that can be read. Blocks."""
    path = directory / f"{artifact.pieces_root}{SUFFIX}"
    if not path.exists():
        return None
    try:
        packed = read_bounded(path, 2 * artifact.pieces + _SLACK)
        marks = zlib.decompressobj().decompress(packed, artifact.pieces + 1)
    except (HostError, zlib.error) as error:
        log.warning("swarm.ledger-dropped path=%s error=%s", path, error)
        return None
    if len(marks) != artifact.pieces or max(marks) > max(SOURCES):
        log.warning("swarm.ledger-dropped path=%s error=of another artifact", path)
        return None
    return Ledger(artifact, marks)


def write(marks: bytes, artifact: Artifact, directory: Path) -> None:
    """Keep a ledger's `marks` durably. Blocks. Raises HostError or SpaceError."""
    write_durably(directory / f"{artifact.pieces_root}{SUFFIX}", zlib.compress(marks, 1))


def write_if_possible(marks: bytes, artifact: Artifact, directory: Path) -> None:
    """The same; but what fails only costs the account, so it is only told in the log."""
    try:
        write(marks, artifact, directory)
    except UpdateError as error:
        log.warning("swarm.ledger-not-written error=%s", error)
