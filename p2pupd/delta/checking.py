"""Whether a pack is that of the signed image."""

from p2pupd.delta.header import Header
from p2pupd.delta.interface import Readable
from p2pupd.delta.unpacking import header_of
from p2pupd.errors import PackError
from p2pupd.model.release import Image


def signed_header(pack: Readable, image: Image, pack_length: int | None = None) -> Header:
    """The checked header of a pack that says that it unpacks to `image`, which is signed.

    `pack_length` as in `header_of`. Raises PackError or HostError.
    """
    header = header_of(pack, pack_length)
    if (header.image_length, header.image_sha256) != (image.length, image.sha256):
        raise PackError(
            f"the pack unpacks to {header.image_length} bytes with SHA-256 "
            f"{header.image_sha256}; signed are {image.length} bytes with {image.sha256}"
        )
    return header
