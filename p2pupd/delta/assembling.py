"""From held chunks to the pieces of a pack that need not be fetched."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from p2pupd.delta.interface import Progress
from p2pupd.delta.matching import Held


@dataclass(frozen=True, slots=True)
class Span:
    """Frames `frames`, stored one after the other, that make all of pieces `pieces`."""

    frames: range
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
        """Stored bytes taken so far, by the number of their first chunk's source."""
        self.unlike = 0
        """Frames that could not be made, because their chunks are other bytes now, or because they
        are compressed in another way here."""

    @property
    def count(self) -> int:
        """Pieces that can be built, as far as can be told without reading."""
        return sum(len(span.pieces) for span in self.spans())

    @property
    def length(self) -> int:
        """Bytes of those pieces: what need not be fetched."""
        length, end = self._piece_length, self._held.header.pack_length
        return sum(
            min(span.pieces.stop * length, end) - span.pieces.start * length
            for span in self.spans()
        )

    def spans(self) -> Iterator[Span]:
        """What can be built, in the pack's order."""
        header = self._held.header
        start = 0
        for frame in range(header.frames + 1):
            if frame < header.frames and self._held.has(frame):
                continue
            if start < frame:
                yield from self._lacking_of(range(start, frame))
            start = frame + 1

    def pieces(self, progress: Progress) -> Iterator[tuple[int, bytes]]:
        """(number, bytes) of the pieces that can be built, in order; compare each with its hash.

        A chunk that is no longer what it was only costs the pieces of its frame. `progress` hears
        the bytes built so far. Holds a piece and a few frames at a time.
        """
        built = 0
        for span in self.spans():
            for piece, content in self._built(span):
                built += len(content)
                progress(built)
                yield piece, content

    def _lacking_of(self, frames: range) -> Iterator[Span]:
        """The parts of a row of held frames that make pieces which are lacking."""
        offsets, length = self._held.header.offsets, self._piece_length
        end = offsets[frames.stop]
        whole = end if end == self._held.header.pack_length else end - end % length
        first, last = -(-offsets[frames.start] // length), -(-whole // length)
        start = first
        for piece in range(first, last + 1):
            if piece < last and self._lacking(piece):
                continue
            if start < piece:
                yield self._span(frames, range(start, piece))
            start = piece + 1

    def _span(self, frames: range, pieces: range) -> Span:
        offsets, length = self._held.header.offsets, self._piece_length
        end = min(pieces.stop * length, self._held.header.pack_length)
        first = bisect_right(offsets, pieces.start * length, frames.start, frames.stop) - 1
        last = bisect_left(offsets, end, first, frames.stop)
        return Span(range(first, last), pieces)

    def _built(self, span: Span) -> Iterator[tuple[int, bytes]]:
        header, length = self._held.header, self._piece_length
        pending, at = bytearray(), 0
        for frame in span.frames:
            kept = self._taken(frame)
            if kept is None:
                pending.clear()
                continue
            if not pending:
                at = header.offsets[frame]
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

    def _taken(self, frame: int) -> bytes | None:
        kept = self._held.take(frame)
        if kept is None:
            self.unlike += 1
        else:
            first = self._held.header.begins[frame]
            self.reused[self._held.sources[first]] += len(kept)
        return kept
