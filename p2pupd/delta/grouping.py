"""Which chunks share a frame: what compresses, together; what others have, as they have it.

Frames of the earlier pack that are needed whole are kept. What is left of the others is put
together, then what is new, in the order of the image: so who has any of the releases before lacks
few frames, and those lie together.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from p2pupd.delta.header import Header
from p2pupd.delta.limits import ID

FRAME: Final = 256 << 10
"""Plain bytes that a frame has at the most, unless it is a single chunk. Updates of Debian images
are 2 % larger with half of it. But whoever holds only a part of a frame fetches all of it: from an
image that was never published, an update is 4 % smaller with half of it."""


@dataclass(frozen=True, slots=True)
class Group:
    """Chunks that make a frame; `kept` is the frame of the earlier pack that is of just these."""

    chunks: "array[int]"
    kept: int | None = None


def groups(
    plain: "array[int]", numbers: Mapping[bytes, int], earlier: Header | None
) -> Iterator[Group]:
    """All chunks, each once. `plain` are their lengths, `numbers` their numbers by whole digest, in
    the order of the image."""
    placed = bytearray(len(plain))
    if earlier is not None:
        yield from _old(
            plain, {name[:ID]: number for name, number in numbers.items()}, earlier, placed
        )
    yield from _rows((number for number in range(len(plain)) if not placed[number]), plain)


def _old(
    plain: "array[int]", numbers: Mapping[bytes, int], earlier: Header, placed: bytearray
) -> Iterator[Group]:
    rest = array("I")
    for frame in range(earlier.frames):
        chunks = earlier.chunks_of(frame)
        here = array("I")
        for chunk in chunks:
            number = numbers.get(earlier.id_of(chunk))
            if number is None or placed[number] or plain[number] != earlier.plain[chunk]:
                continue
            placed[number] = 1
            here.append(number)
        if len(here) == len(chunks):
            yield Group(here, frame)
        else:
            rest += here
    yield from _rows(rest, plain)


def _rows(chunks: Iterable[int], plain: "array[int]") -> Iterator[Group]:
    """In that order, FRAME bytes each."""
    row, length = array("I"), 0
    for chunk in chunks:
        if row and length + plain[chunk] > FRAME:
            yield Group(row)
            row, length = array("I"), 0
        row.append(chunk)
        length += plain[chunk]
    if row:
        yield Group(row)
