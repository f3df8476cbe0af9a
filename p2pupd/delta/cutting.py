"""Where chunks begin and end: content decides, so that what moved is found again; but in an EROFS
image, where compressed files begin at blocks and nothing moves by less, blocks do.

FastCDC in its version of 2020 (as pyfastcdc and fastcdc-rs have it), normalised at level 1: at
least a quarter, at most four times the average. Other cuts never make wrong bytes, only less reuse.
"""

from collections.abc import Callable, Iterator
from typing import Final

from pyfastcdc import FastCDC

from p2pupd.delta.interface import Readable
from p2pupd.delta.limits import MOST_AVERAGE, SPREAD, Cutting

AVERAGE: Final = 4096
"""For images of up to LARGE bytes. Measured with updates of a Debian system, it beats longer chunks
for every format: less compression costs less than unchanged bytes beside changed ones."""

LARGE: Final = 1 << 30
NORMALISED: Final = 1
EROFS: Final = (1024, b"\xe2\xe1\xf5\xe0")
"""Where its magic is, and what it is."""

WINDOW: Final = 4 << 20
"""Bytes looked at at once; a multiple of the longest chunk."""


def average_for(image_length: int, earlier: int | None) -> int:
    """The average to cut an image for: longer images get longer chunks, for memory's sake.

    `earlier` is that of the release before: it is kept as long as it is off by a factor of two at
    the most, because chunks cut for another average are other chunks.
    """
    average, large = AVERAGE, LARGE
    while large < image_length and average < MOST_AVERAGE:
        average, large = average * 2, large * 2
    if earlier is not None and average // 2 <= earlier <= average * 2:
        return earlier
    return average


def cutting_for(image: Readable) -> Cutting:
    """How to cut `image`. Raises HostError."""
    at, magic = EROFS
    return Cutting.BLOCKS if image.read_at(at, len(magic)) == magic else Cutting.CONTENT


def cut(
    source: Readable, cutting: Cutting, average: int, end: int | None = None
) -> Iterator[tuple[int, memoryview]]:
    """(offset, bytes) of the chunks of `source`, up to `end`, in order; never an empty one.

    The bytes are valid until the next chunk is asked for. Raises what `source` raises.
    """
    size = source.size if end is None else min(end, source.size)
    cuts = _content(average) if cutting is Cutting.CONTENT else _blocks(average)
    at, rest = 0, b""
    while at < size:
        fresh = source.read_at(at + len(rest), min(WINDOW, size - at - len(rest)))
        window = memoryview(rest + fresh)
        size = size if fresh else at + len(rest)
        last = at + len(window) >= size
        begins = 0
        for chunk in cuts(window):
            if not last and begins + len(chunk) == len(window):
                break
            yield at + begins, chunk
            begins += len(chunk)
        at, rest = at + begins, bytes(window[begins:])


def _content(average: int) -> Callable[[memoryview], Iterator[memoryview]]:
    cutter = FastCDC(
        average,
        min_size=average // SPREAD,
        max_size=average * SPREAD,
        normalized_chunking=NORMALISED,
    )
    return lambda window: (chunk.data for chunk in cutter.cut_buf(window))


def _blocks(length: int) -> Callable[[memoryview], Iterator[memoryview]]:
    return lambda window: (window[at : at + length] for at in range(0, len(window), length))
