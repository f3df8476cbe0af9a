"""Where the pieces of an artifact came from, kept beside it as `<pieces root>.ledger`.

Only what was injected is counted, by source; everything else that is there came from neighbours.
So the sources sum to what is there, also after a power cut: what the ledger missed counts as lan.
"""

import json
import logging
from pathlib import Path
from typing import Final

from p2pupd.errors import HostError
from p2pupd.host.files import read_bounded, write_durably
from p2pupd.model.release import Artifact
from p2pupd.swarm.interface import Injected

SUFFIX: Final = ".ledger"
LARGEST: Final = 4096
"""Bytes that a ledger may have."""

log = logging.getLogger(__name__)

UNREADABLE: Final = (
    HostError,
    ArithmeticError,
    ValueError,
    TypeError,
    AttributeError,
    RecursionError,
)

Sums = dict[Injected, int]
"""Bytes by source."""


def attributed(done: int, injected: Sums) -> tuple[int, Sums]:
    """(bytes from neighbours, bytes by other source) of the `done` that are there."""
    left, shares = done, {}
    for source in (Injected.USB, Injected.UPLINK, Injected.REUSE):
        shares[source] = min(left, injected.get(source, 0))
        left -= shares[source]
    return left, shares


def read(artifact: Artifact, directory: Path) -> Sums | None:
    """What was injected in earlier runs; None without a ledger that can be read. Blocks."""
    path = directory / f"{artifact.pieces_root}{SUFFIX}"
    if not path.exists():
        return None
    try:
        fields = json.loads(read_bounded(path, LARGEST))
        sums = {Injected(source): int(count) for source, count in fields.items()}
    except UNREADABLE as error:
        log.warning("swarm.ledger-dropped path=%s error=%s", path, error)
        return None
    return {source: min(max(0, count), artifact.length) for source, count in sums.items()}


def write(sums: Sums, artifact: Artifact, directory: Path) -> None:
    """Keep it durably. Blocks. Raises HostError or SpaceError."""
    content = json.dumps({str(source): count for source, count in sums.items()}).encode()
    write_durably(directory / f"{artifact.pieces_root}{SUFFIX}", content)
