"""A frame: one or more chunks, stored in a pack as one zstd frame, or as they are."""

import hashlib
from typing import Final

import zstandard

from p2pupd.delta.limits import ID
from p2pupd.errors import PackError

LEVEL: Final = 7
"""zstd's. Updates of Debian images are 3 % smaller than at level 5, and 1 % larger than at any
higher one; a device that compresses its slot again needs half as long again as at level 5."""

Bytelike = bytes | bytearray | memoryview


def chunk_id(plain: Bytelike) -> bytes:
    """The name of a chunk: the first ID bytes of its SHA-256."""
    return hashlib.sha256(plain).digest()[:ID]


def expanded(
    frame: bytes, length: int, what: str, decompressor: zstandard.ZstdDecompressor
) -> bytes:
    """The `length` bytes in one zstd frame. Raises PackError; makes room for no byte more."""
    try:
        claimed = zstandard.frame_content_size(frame)
        if claimed == length:
            return decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise PackError(f"the pack is damaged: {what} cannot be expanded ({error})") from error
    raise PackError(f"the pack is damaged: {what} expands to {claimed} bytes instead of {length}")


class Frames:
    """Compresses and expands frames; not for two threads at once."""

    def __init__(self) -> None:
        self._in = zstandard.ZstdCompressor(
            level=LEVEL, write_checksum=False, write_content_size=True, write_dict_id=False
        )
        self._out = zstandard.ZstdDecompressor()

    def stored(self, plain: bytes | memoryview) -> bytes:
        """What a pack keeps of a frame: zstd's, or `plain` itself where that is not longer.

        The same for the same bytes and the same version of libzstd.
        """
        frame = self._in.compress(plain)
        return frame if len(frame) < len(plain) else bytes(plain)

    def restored(self, kept: bytes, length: int) -> bytes:
        """The `length` plain bytes. Raises PackError; never makes room for more than `length`."""
        return kept if len(kept) == length else expanded(kept, length, "a frame", self._out)
