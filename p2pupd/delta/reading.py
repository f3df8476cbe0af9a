"""The frames and chunks of a pack, each looked at before it is given away, unless told not to."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from p2pupd.delta.frames import Frames, chunk_id
from p2pupd.delta.header import Header
from p2pupd.delta.interface import Readable
from p2pupd.errors import PackError

KEPT: Final = 8 << 20
"""Bytes of expanded frames that are kept, because an image comes back to them."""


class Reader:
    """Reads `pack`, which has that header; not for two threads at once.

    Not `checked`, chunks are of the right length, and the bytes are left to the caller to check.
    """

    def __init__(self, pack: Readable, header: Header, *, checked: bool = True) -> None:
        self.header = header
        self._checked = checked
        self._pack = pack
        self._frames = Frames()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._size = 0

    def stored(self, frame: int) -> bytes:
        """A frame as it lies in the pack, whatever it is. Raises PackError where that ends before,
        HostError where it cannot be read."""
        at, end = self.header.offsets[frame], self.header.offsets[frame + 1]
        raw = self._pack.read_at(at, end - at)
        if len(raw) < end - at:
            raise PackError(f"the pack ends at {at + len(raw)}; frame {frame} ends at {end}")
        return raw

    def plain(self, chunks: range) -> Iterator[memoryview]:
        """The bytes of chunks that are stored one after the other, in parts.

        Raises PackError where they are not what the header says, HostError.
        """
        header = self.header
        frame, at = header.frame_of(chunks.start), chunks.start
        while at < chunks.stop:
            end = min(header.begins[frame + 1], chunks.stop)
            start = header.before[header.begins[frame]]
            content = memoryview(self._expanded(frame))
            yield content[header.before[at] - start : header.before[end] - start]
            frame, at = frame + 1, end

    def _expanded(self, frame: int) -> bytes:
        if frame in self._kept:
            self._kept.move_to_end(frame)
            return self._kept[frame]
        header = self.header
        plain = self._frames.restored(self.stored(frame), header.plain_length(frame))
        if self._checked:
            self._check(frame, memoryview(plain))
        self._kept[frame] = plain
        self._size += len(plain)
        while self._size > KEPT:
            self._size -= len(self._kept.popitem(last=False)[1])
        return plain

    def _check(self, frame: int, plain: memoryview) -> None:
        header, at = self.header, 0
        for chunk in header.chunks_of(frame):
            end = at + header.plain[chunk]
            if chunk_id(plain[at:end]) != header.id_of(chunk):
                raise PackError("the pack is damaged: a chunk holds other bytes than its name says")
            at = end
