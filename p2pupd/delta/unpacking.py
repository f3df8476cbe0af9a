"""From a pack to the image, in order, within bounded memory."""

import hashlib
from collections.abc import Generator, Iterator
from typing import Final

from p2pupd.delta.header import Header, header_length, parse
from p2pupd.delta.interface import Progress, Readable, Target, Zeros
from p2pupd.delta.limits import PREAMBLE
from p2pupd.delta.reading import Reader
from p2pupd.errors import PackError

BLOCK: Final = 1 << 20
"""Bytes given at once, at the most."""

GRAIN: Final = 64 << 10
"""What is given begins and, but for the image's end, ends at a multiple of this in the image."""

_NO_BYTES: Final = bytes(BLOCK)


def header_of(pack: Readable, pack_length: int | None = None) -> Header:
    """The checked header of a pack. Raises PackError or HostError.

    `pack_length` is what the pack will have, where it is not whole yet; its header must be there.
    """
    length = header_length(pack.read_at(0, PREAMBLE))
    return parse(pack.read_at(0, length), pack.size if pack_length is None else pack_length)


def unpack(pack: Readable, header: Header, target: Target, progress: Progress) -> None:
    """Give `target` the image. `progress` hears its bytes done so far.

    Raises PackError where a chunk, or at the end the image, is not what the header says: the target
    is rubbish then; it was given no byte of a wrong chunk, and none beyond the image's length.
    Raises HostError where the pack cannot be read, and what `target` raises.
    """
    done = 0
    for part in plain_image(pack, header):
        if isinstance(part, Zeros):
            target.zeros(part.length)
            done += part.length
        else:
            target.write(part)
            done += len(part)
        progress(done)


def plain_image(
    pack: Readable, header: Header, *, proved: bool = True
) -> Generator[memoryview | Zeros, None, None]:
    """The image in order; each part is valid until the next one is asked for. Raises as `unpack`.

    Not `proved`, the length alone is right, and the digest of the whole is left to the caller.
    Parts begin at multiples of GRAIN; data has at most BLOCK bytes, zeros any number.
    """
    parts = _grained(_plain_chunks(Reader(pack, header, checked=proved)))
    if not proved:
        yield from parts
        return
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Zeros):
            for at in range(0, part.length, BLOCK):
                digest.update(memoryview(_NO_BYTES)[: part.length - at])
        else:
            digest.update(part)
        yield part
    if digest.hexdigest() != header.image_sha256:
        raise PackError("the pack is damaged: its chunks make another image than its header says")


def _plain_chunks(reader: Reader) -> Iterator[memoryview | Zeros]:
    """The image in parts."""
    for run in reader.header.runs():
        if run.first is None:
            yield Zeros(run.amount)
        else:
            yield from reader.plain(range(run.first, run.first + run.amount))


def _grained(chunks: Iterator[memoryview | Zeros]) -> Iterator[memoryview | Zeros]:
    """The same bytes in parts that begin at multiples of GRAIN."""
    buffer = memoryview(bytearray(BLOCK))
    filled = 0
    for chunk in chunks:
        for part in _split(chunk, -filled % GRAIN):
            if isinstance(part, Zeros):
                if filled:
                    yield buffer[:filled]
                filled = 0
                yield part
                continue
            rest = part
            while rest:
                size = min(len(rest), BLOCK - filled)
                buffer[filled : filled + size] = rest[:size]
                rest, filled = rest[size:], filled + size
                if filled == BLOCK:
                    yield buffer
                    filled = 0
    if filled:
        yield buffer[:filled]


def _split(chunk: memoryview | Zeros, lead: int) -> Iterator[memoryview | Zeros]:
    """The chunk; of zeros only what is left in whole grains behind the first `lead` bytes."""
    if not isinstance(chunk, Zeros):
        yield chunk
        return
    lead = min(lead, chunk.length)
    tail = (chunk.length - lead) % GRAIN
    yield memoryview(_NO_BYTES)[:lead]
    if whole := chunk.length - lead - tail:
        yield Zeros(whole)
    yield memoryview(_NO_BYTES)[:tail]
