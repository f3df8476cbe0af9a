"""Which pieces a device brings by its own uplink: each byte crosses the internet link once.

No election: every device with an uplink computes the same shares from the neighbours it sees. What
somebody on the floor already has is left to the LAN. When a device with an uplink goes, its share
falls to the others; when one is slow, the others help from its far end.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from p2pupd.core.piece_layer import length_of_piece
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact

SEGMENT: Final = 1024 * 1024
"""Bytes that are one device's share at a time, and the most that is asked for at once."""
HELP_AFTER: Final = 2.0
"""Seconds without a piece of its own share left after which a device helps the others."""
DOUBT_AFTER: Final = 30.0
"""Seconds after which it brings even what neighbours have, because they do not pass it on."""


@dataclass(frozen=True, slots=True)
class Lack:
    """What is to be had. One entry a piece: `here`, how many neighbours have it (`elsewhere`), and
    which this device brings already or has brought (`claimed`)."""

    here: Collection[bool]
    elsewhere: Collection[int]
    claimed: Collection[int]

    def wanted(self, *, doubt: bool) -> list[int]:
        """Pieces that only the uplink has, as far as is known; in `doubt` all that are missing."""
        return [
            piece
            for piece, (here, others) in enumerate(zip(self.here, self.elsewhere, strict=True))
            if not here and (doubt or not others) and piece not in self.claimed
        ]


@dataclass(frozen=True, slots=True)
class Run:
    """Adjoining pieces; `share`: they are this device's own to bring, and not brought in doubt."""

    pieces: range
    share: bool


def next_run(
    artifact: Artifact,
    own: DeviceId,
    uplinks: Collection[DeviceId],
    lack: Lack,
    idle: float,
    *,
    patience: float = HELP_AFTER,
) -> Run:
    """Adjoining pieces to bring now, at most `SEGMENT` bytes or one piece; may be empty.

    `uplinks` are the other devices with an uplink; `idle` is for how many seconds this device has
    had nothing of its own share to bring. It helps others after `patience` seconds: longer than a
    segment takes on this line, lest it brings what is under way. Helpers begin at different ends.
    """
    doubt = idle >= DOUBT_AFTER
    wanted = lack.wanted(doubt=doubt)
    everyone = sorted({own, *uplinks})
    rank, size = everyone.index(own), max(1, SEGMENT // artifact.piece_length)
    mine = (piece for piece in wanted if piece // size % len(everyone) == rank)
    first = next(mine, None)
    share = first is not None and not doubt
    if first is None and wanted and idle >= patience:
        segments = sorted({piece // size for piece in wanted}, reverse=True)
        chosen = segments[rank % len(segments)]
        first = next(piece for piece in wanted if piece // size == chosen)
    if first is None:
        return Run(range(0), share=False)
    end, there = first, set(wanted)
    while end in there and end // size == first // size:
        end += 1
    return Run(range(first, end), share)


def bytes_of(artifact: Artifact, pieces: range) -> tuple[int, int]:
    """(first byte, number of bytes) of adjoining pieces, of which there is at least one."""
    size = artifact.piece_length
    return pieces[0] * size, (len(pieces) - 1) * size + length_of_piece(artifact, pieces[-1])
