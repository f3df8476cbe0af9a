"""A BitTorrent v1 file (BEP 3) for programs that read no other."""

import hashlib
from pathlib import Path
from typing import Final

PIECE_LENGTH: Final = 256 * 1024


def torrent_of(path: Path, tracker: str) -> bytes:
    """Of one file; its readers find each other by the tracker (a URL)."""
    hashes = bytearray()
    with path.open("rb") as file:
        while piece := file.read(PIECE_LENGTH):
            hashes += hashlib.sha1(piece, usedforsecurity=False).digest()
    info = b"d6:lengthi%de4:name%d:%s12:piece lengthi%de6:pieces%d:%se" % (
        path.stat().st_size,
        len(path.name.encode()),
        path.name.encode(),
        PIECE_LENGTH,
        len(hashes),
        bytes(hashes),
    )
    return b"d8:announce%d:%s4:info%se" % (len(tracker), tracker.encode(), info)
