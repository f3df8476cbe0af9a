"""Which pieces of a pack whoever has the release before makes itself: a guess, by a seed's own."""

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from p2pupd.delta.assembling import Assembly
from p2pupd.delta.files import opened
from p2pupd.delta.header import header_length
from p2pupd.delta.limits import MAGIC, PREAMBLE
from p2pupd.delta.matching import PackSource, find
from p2pupd.delta.unpacking import header_of
from p2pupd.errors import HostError, PackError
from p2pupd.model.release import Artifact

log = logging.getLogger(__name__)


def made_of(
    path: Path, artifact: Artifact, others: Iterable[Path], known: Callable[[range], bool]
) -> frozenset[int] | None:
    """Pieces of the pack at `path` that those of the `others` make which are packs.

    The first piece is here. None where the rest of the header is not yet; `known` says which pieces
    are. Reads headers only; what cannot be read makes nothing. Blocks.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(opened(path))
            if file.read_at(0, len(MAGIC)) != MAGIC:
                return frozenset()
            end = header_length(file.read_at(0, PREAMBLE))
            if not known(range(-(-end // artifact.piece_length))):
                return None
            sources = [source for other in others if (source := _pack(other, stack))]
            if not sources:
                return frozenset()
            header = header_of(file, artifact.length)
        except (HostError, PackError) as error:
            log.info("sparing.unreadable path=%s error=%s", path, error)
            return frozenset()
        assembly = Assembly(find(header, sources, lambda _: None), artifact.piece_length)
        return frozenset(piece for span in assembly.spans() for piece in span.pieces)


def _pack(path: Path, stack: ExitStack) -> PackSource | None:
    try:
        file = stack.enter_context(opened(path))
        return PackSource(file, header_of(file))
    except (HostError, PackError):
        return None
