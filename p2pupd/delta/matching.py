"""Which chunks of a new pack this device already holds, and where."""

import logging
from array import array
from collections.abc import Sequence
from typing import Final, Protocol

from p2pupd.delta.cutting import WINDOW, cut
from p2pupd.delta.frames import Frames, chunk_id
from p2pupd.delta.header import Header
from p2pupd.delta.interface import Progress, Readable
from p2pupd.delta.reading import Reader
from p2pupd.errors import HostError, PackError

log = logging.getLogger(__name__)

MOST_SOURCES: Final = 254
NOWHERE: Final = 255


class Source(Protocol):
    """Bytes of older releases. Nothing in it is believed: pieces are checked when they are made."""

    def search(self, wanted: "Wanted", progress: Progress) -> None:
        """Tell `wanted.found` of each chunk that seems to be here. Raises HostError."""

    def frame(self, header: Header, frame: int, places: "array[int]") -> bytes | None:
        """The stored bytes of that frame, the chunks of which `search` found at `places`.

        None where it is not stored here just so. Nobody has looked at the bytes. Raises HostError.
        """

    def chunk(self, place: int, length: int) -> bytes | None:
        """The plain bytes of the chunk of that length that `search` found at `place`.

        None where there is none any more. Nobody has looked at the bytes. Raises HostError.
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
        self.reader = Reader(pack, header)

    def search(self, wanted: "Wanted", progress: Progress) -> None:
        """As the contract says; reads nothing. The place is the number of the chunk there."""
        header = self.reader.header
        for number in range(header.chunks):
            wanted.found(header.id_of(number), header.plain[number], number)
        progress(0)

    def frame(self, header: Header, frame: int, places: "array[int]") -> bytes | None:
        """As the contract says: where one frame here is of just these chunks."""
        theirs = self.reader.header
        there = theirs.frame_of(places[0])
        same = theirs.stored[there] == header.stored[frame]
        if not same or array("Q", theirs.chunks_of(there)) != places:
            return None
        try:
            return self.reader.stored(there)
        except PackError:
            return None

    def chunk(self, place: int, length: int) -> bytes | None:
        """As the contract says."""
        try:
            plain = b"".join(self.reader.plain(range(place, place + 1)))
        except PackError:
            return None
        return plain if len(plain) == length else None


class ImageSource:
    """An older image, in a slot or a file: cut into chunks, of which frames are made again.

    Only its first `length` bytes are looked at, all where that is None.
    """

    def __init__(self, image: Readable, length: int | None = None) -> None:
        self._image = image
        self._length = length

    def search(self, wanted: Wanted, progress: Progress) -> None:
        """As the contract says. Ends early when nothing is wanted any more.

        The place is the offset in bytes."""
        told = 0
        header = wanted.header
        for offset, plain in cut(self._image, header.cutting, header.average, self._length):
            if offset - told >= WINDOW:
                told = offset
                progress(offset)
                if not wanted:
                    return
            if plain[0] or plain[-1] or plain != bytes(len(plain)):
                wanted.found(chunk_id(plain), len(plain), offset)

    def frame(self, header: Header, frame: int, places: "array[int]") -> bytes | None:
        """As the contract says: an image stores no frames."""

    def chunk(self, place: int, length: int) -> bytes | None:
        """As the contract says."""
        plain = self._image.read_at(place, length)
        return plain if len(plain) == length else None


class Held:
    """Where the chunks of `header`'s pack are: number of the source or NOWHERE, and place there."""

    def __init__(
        self,
        header: Header,
        origins: Sequence[Source],
        sources: "array[int]",
        places: "array[int]",
    ) -> None:
        self.header = header
        self.origins = origins
        self.sources = sources
        self.places = places
        self._frames = Frames()

    def of(self, origins: int) -> "Held":
        """What `find` would have found in the first so many sources alone."""
        sources = array("B", (each if each < origins else NOWHERE for each in self.sources))
        return Held(self.header, self.origins, sources, self.places)

    def has(self, frame: int) -> bool:
        """Whether all chunks of that frame are somewhere."""
        chunks = self.header.chunks_of(frame)
        return NOWHERE not in self.sources[chunks.start : chunks.stop]

    def take(self, frame: int) -> bytes | None:
        """The frame's stored bytes, if its chunks are still there.

        They are the right ones only if their piece's hash says so.
        """
        if not self.has(frame):
            return None
        try:
            kept = self._copied(frame)
            return self._made(frame) if kept is None else kept
        except HostError as error:
            log.info("delta.source-unreadable error=%s", error)
            return None

    def _copied(self, frame: int) -> bytes | None:
        chunks = self.header.chunks_of(frame)
        first = self.sources[chunks.start]
        if self.sources[chunks.start : chunks.stop].count(first) < len(chunks):
            return None
        return self.origins[first].frame(
            self.header, frame, self.places[chunks.start : chunks.stop]
        )

    def _made(self, frame: int) -> bytes | None:
        header, parts = self.header, list[bytes]()
        for chunk in header.chunks_of(frame):
            origin = self.origins[self.sources[chunk]]
            plain = origin.chunk(self.places[chunk], header.plain[chunk])
            if plain is None or chunk_id(plain) != header.id_of(chunk):
                return None
            parts.append(plain)
        plain = b"".join(parts)
        length = header.stored[frame]
        kept = plain if length == len(plain) else self._frames.stored(plain)
        return kept if len(kept) == length else None


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
