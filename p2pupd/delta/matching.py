"""Which chunks of a new pack this device already holds, and where."""

import logging
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from p2pupd.delta.cutting import WINDOW, cut
from p2pupd.delta.frames import Frames, chunk_id
from p2pupd.delta.header import Header
from p2pupd.delta.interface import Progress, Readable
from p2pupd.errors import HostError, PackError

log = logging.getLogger(__name__)

MOST_SOURCES: Final = 254
NOWHERE: Final = 255


class Source(Protocol):
    """Bytes of older releases. Nothing in it is believed: chunks are checked when they are used."""

    def search(self, wanted: "Wanted", progress: Progress) -> None:
        """Tell `wanted.found` of each chunk that seems to be here. Raises HostError."""

    def take(self, header: Header, chunk: int, place: int) -> bytes | None:
        """The stored bytes of that chunk, which `search` found at `place`.

        None where they are other bytes now, or would be stored in another length. Raises HostError.
        """


class Wanted:
    """The chunks that no source has yet, by name, while sources are searched."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.sources = array("B", bytes([NOWHERE]) * header.chunks)
        self.places = array("Q", bytes(8 * header.chunks))
        self._source = 0
        self._numbers = {header.id_of(number): number for number in range(header.chunks)}

    def __len__(self) -> int:
        return len(self._numbers)

    def found(self, name: bytes, length: int, place: int) -> None:
        """The source that is searched has `length` plain bytes of that name at `place`."""
        number = self._numbers.get(name)
        if number is not None and self.header.plain[number] == length:
            del self._numbers[name]
            self.sources[number] = self._source
            self.places[number] = place

    def next_source(self, number: int) -> None:
        """What is found from now on is in source `number`."""
        self._source = number


class PackSource:
    """An older pack: what it stores is copied."""

    def __init__(self, pack: Readable, header: Header) -> None:
        self._pack = pack
        self._header = header
        self._frames = Frames()

    def search(self, wanted: Wanted, progress: Progress) -> None:
        """As the contract says; reads nothing. The place is the number of the chunk there."""
        for number in range(self._header.chunks):
            wanted.found(self._header.id_of(number), self._header.plain[number], number)
        progress(0)

    def take(self, header: Header, chunk: int, place: int) -> bytes | None:
        """As the contract says."""
        length = self._header.stored[place]
        kept = self._pack.read_at(self._header.offsets[place], length)
        try:
            plain = self._frames.restored(kept, header.plain[chunk], header.id_of(chunk))
        except PackError:
            return None
        again = kept if length == header.stored[chunk] else self._frames.stored(plain)
        return again if len(again) == header.stored[chunk] else None


class ImageSource:
    """An older image, in a slot or a file: cut into chunks, which are compressed again.

    Only its first `length` bytes are looked at, all where that is None.
    """

    def __init__(self, image: Readable, length: int | None = None) -> None:
        self._image = image
        self._length = length
        self._frames = Frames()

    def search(self, wanted: Wanted, progress: Progress) -> None:
        """As the contract says. Ends early when nothing is wanted any more.

        The place is the offset in bytes."""
        told = 0
        for offset, plain in cut(self._image, wanted.header.average, self._length):
            if offset - told >= WINDOW:
                told = offset
                progress(offset)
                if not wanted:
                    return
            if plain[0] or plain[-1] or plain != bytes(len(plain)):
                wanted.found(chunk_id(plain), len(plain), offset)

    def take(self, header: Header, chunk: int, place: int) -> bytes | None:
        """As the contract says."""
        length = header.plain[chunk]
        plain = self._image.read_at(place, length)
        if len(plain) != length or chunk_id(plain) != header.id_of(chunk):
            return None
        kept = plain if header.stored[chunk] == length else self._frames.stored(plain)
        return kept if len(kept) == header.stored[chunk] else None


@dataclass(frozen=True, slots=True)
class Held:
    """Where the chunks of `header`'s pack are: number of the source or NOWHERE, and place there."""

    header: Header
    origins: Sequence[Source]
    sources: "array[int]"
    places: "array[int]"

    def has(self, chunk: int) -> bool:
        return self.sources[chunk] != NOWHERE

    def take(self, chunk: int) -> bytes | None:
        """The chunk's stored bytes, if they are still there and right, as far as can be told."""
        if not self.has(chunk):
            return None
        try:
            origin = self.origins[self.sources[chunk]]
            return origin.take(self.header, chunk, self.places[chunk])
        except HostError as error:
            log.info("delta.source-unreadable error=%s", error)
            return None


def find(header: Header, origins: Sequence[Source], progress: Progress) -> Held:
    """Search the sources in turn, cheapest first; each only for what those before it lack.

    A source that cannot be read counts as far as it was. At most MOST_SOURCES. `progress` hears the
    bytes done in the source that is searched.
    """
    wanted = Wanted(header)
    for number, origin in enumerate(origins[:MOST_SOURCES]):
        if not wanted:
            break
        wanted.next_source(number)
        try:
            origin.search(wanted, progress)
        except HostError as error:
            log.info("delta.source-unreadable error=%s", error)
    return Held(header, tuple(origins), wanted.sources, wanted.places)
