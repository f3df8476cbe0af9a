"""Where chunks begin and end: content decides, so that what moved is found again.

FastCDC in its version of 2020 (as pyfastcdc and fastcdc-rs have it), normalised at level 1: at
least a quarter, at most four times the average. Other cuts never make wrong bytes, only less reuse.
"""

from collections.abc import Iterator
from typing import Final

from pyfastcdc import FastCDC

from p2pupd.delta.interface import Readable
from p2pupd.delta.limits import MOST_AVERAGE, SPREAD

AVERAGE: Final = 4096
"""For images of up to LARGE bytes. Measured with updates of a Debian system, it beats longer chunks
for every format: less compression costs less than unchanged bytes beside changed ones."""

LARGE: Final = 1 << 30
NORMALISED: Final = 1
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


def cut(source: Readable, average: int, end: int | None = None) -> Iterator[tuple[int, memoryview]]:
    """(offset, bytes) of the chunks of `source`, up to `end`, in order; never an empty one.

    The bytes are valid until the next chunk is asked for. Raises what `source` raises.
    """
    cutter = FastCDC(
        average,
        min_size=average // SPREAD,
        max_size=average * SPREAD,
        normalized_chunking=NORMALISED,
    )
    size = source.size if end is None else min(end, source.size)
    at, rest = 0, b""
    while at < size:
        fresh = source.read_at(at + len(rest), min(WINDOW, size - at - len(rest)))
        window = memoryview(rest + fresh)
        size = size if fresh else at + len(rest)
        last = at + len(window) >= size
        begins = 0
        for chunk in cutter.cut_buf(window):
            if not last and chunk.offset + chunk.length == len(window):
                break
            yield at + chunk.offset, chunk.data
            begins = chunk.offset + chunk.length
        at, rest = at + begins, bytes(window[begins:])
