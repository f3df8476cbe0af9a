"""From held chunks to the pieces of a pack that need not be fetched."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from p2pupd.delta.interface import Progress
from p2pupd.delta.matching import Held


@dataclass(frozen=True, slots=True)
class Span:
    """Chunks `chunks`, stored one after the other, that make all of pieces `pieces`."""

    chunks: range
    pieces: range


class Assembly:
    """The pieces of `held`'s pack, of `piece_length` bytes, that held chunks make.

    `lacking` says whether a piece is worth building (by default: all are). Pieces that hold a part
    of the header are never built: whoever has read the header has them.
    """

    def __init__(
        self,
        held: Held,
        piece_length: int,
        lacking: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self._held = held
        self._piece_length = piece_length
        self._lacking = lacking
        self.reused: Counter[int] = Counter()
        """Stored bytes taken so far, by the number of their source."""
        self.unlike = 0
        """Chunks that turned out to be other bytes, or to be compressed in another way."""

    @property
    def count(self) -> int:
        """Pieces that can be built, as far as can be told without reading."""
        return sum(len(span.pieces) for span in self.spans())

    def spans(self) -> Iterator[Span]:
        """What can be built, in the pack's order."""
        header = self._held.header
        start = 0
        for chunk in range(header.chunks + 1):
            if chunk < header.chunks and self._held.has(chunk):
                continue
            if start < chunk:
                yield from self._lacking_of(range(start, chunk))
            start = chunk + 1

    def pieces(self, progress: Progress) -> Iterator[tuple[int, bytes]]:
        """(number, bytes) of the pieces that can be built, in order; compare each with its hash.

        A chunk that is no longer what it was only costs its pieces. `progress` hears the bytes
        built so far. Holds a piece and a chunk at a time.
        """
        built = 0
        for span in self.spans():
            for piece, content in self._built(span):
                built += len(content)
                progress(built)
                yield piece, content

    def _lacking_of(self, chunks: range) -> Iterator[Span]:
        """The parts of a row of held chunks that make pieces which are lacking."""
        offsets, length = self._held.header.offsets, self._piece_length
        end = offsets[chunks.stop]
        whole = end if end == self._held.header.pack_length else end - end % length
        first, last = -(-offsets[chunks.start] // length), -(-whole // length)
        start = first
        for piece in range(first, last + 1):
            if piece < last and self._lacking(piece):
                continue
            if start < piece:
                yield self._span(chunks, range(start, piece))
            start = piece + 1

    def _span(self, chunks: range, pieces: range) -> Span:
        offsets, length = self._held.header.offsets, self._piece_length
        end = min(pieces.stop * length, self._held.header.pack_length)
        first = bisect_right(offsets, pieces.start * length, chunks.start, chunks.stop) - 1
        last = bisect_left(offsets, end, first, chunks.stop)
        return Span(range(first, last), pieces)

    def _built(self, span: Span) -> Iterator[tuple[int, bytes]]:
        header, length = self._held.header, self._piece_length
        pending, at = bytearray(), 0
        for chunk in span.chunks:
            kept = self._taken(chunk)
            if kept is None:
                pending.clear()
                continue
            if not pending:
                at = header.offsets[chunk]
            pending += kept
            while pending:
                piece = -(-at // length)
                stop = min((piece + 1) * length, header.pack_length) - at
                if stop > len(pending):
                    break
                if piece in span.pieces:
                    yield piece, bytes(pending[piece * length - at : stop])
                del pending[:stop]
                at += stop

    def _taken(self, chunk: int) -> bytes | None:
        kept = self._held.take(chunk)
        if kept is None:
            self.unlike += 1
        else:
            self.reused[self._held.sources[chunk]] += len(kept)
        return kept
