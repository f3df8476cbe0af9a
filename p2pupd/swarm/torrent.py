"""From an artifact to its torrent (BEP 52), and which of its pieces to ask for first.

Everything comes from the four signed values of an artifact, so there is no torrent file to
believe: a wrong piece or a wrong hash list cannot match the signed root.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import libtorrent as lt

from p2pupd.errors import FetchError
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact

BLOCK: Final = 16 * 1024
OWN_SHARE: Final = 7
OTHERS_SHARE: Final = 1
FEWEST_REQUESTS: Final = 2
MOST_REQUESTS: Final = 32

FLAGS: Final = (
    lt.torrent_flags.update_subscribe
    | lt.torrent_flags.apply_ip_filter
    | lt.torrent_flags.disable_dht
    | lt.torrent_flags.disable_lsd
    | lt.torrent_flags.disable_pex
)


def info_dictionary(artifact: Artifact) -> bytes:
    """The bencoded info dictionary: a single file named by its pieces root in hex."""
    name = artifact.pieces_root.encode()
    root = bytes.fromhex(artifact.pieces_root)
    info: Any = {
        b"file tree": {name: {b"": {b"length": artifact.length, b"pieces root": root}}},
        b"meta version": 2,
        b"name": name,
        b"piece length": artifact.piece_length,
    }
    return lt.bencode(info)


def torrent_info(artifact: Artifact) -> lt.torrent_info:
    """Raises FetchError where length or piece length cannot be carried by BitTorrent v2."""
    try:
        return lt.torrent_info(b"d4:info" + info_dictionary(artifact) + b"e")
    except RuntimeError as error:
        raise FetchError(
            f"artifact {artifact.sha256[:16]} of {artifact.length} bytes in pieces of"
            f" {artifact.piece_length} cannot be a torrent: {error}",
            reason="bad-artifact",
        ) from error


def fresh(artifact: Artifact, directory: Path) -> lt.add_torrent_params:
    """Parameters of a torrent that nothing is known about yet. Raises FetchError."""
    return prepared(lt.add_torrent_params(), artifact, directory)


def prepared(
    parameters: lt.add_torrent_params, artifact: Artifact, directory: Path
) -> lt.add_torrent_params:
    """The same parameters, with everything that is ours to decide set. Raises FetchError."""
    parameters.ti = torrent_info(artifact)
    parameters.save_path = str(directory)
    parameters.flags = FLAGS
    parameters.peers = []
    parameters.banned_peers = []
    parameters.piece_priorities = []
    parameters.file_priorities = []
    return parameters


def home_pieces(pieces: int, own: DeviceId, fetching: Collection[DeviceId]) -> list[int]:
    """A priority per piece: devices that start together each ask for another share first.

    `fetching` are the neighbours that also fetch; the rank of `own` among them all picks its
    share. Alone, every piece has the same priority.
    """
    everyone = sorted({own, *fetching})
    rank, count = everyone.index(own), len(everyone)
    return [OWN_SHARE if piece % count == rank else OTHERS_SHARE for piece in range(pieces)]


def request_queue(outstanding: int, devices: int) -> int:
    """Blocks to have asked of one peer, so that `devices` together keep to `outstanding` bytes.

    Measured with 8 devices at 50 Mbit/s: 2 is better than 3, and 3 than 4 or 8.
    """
    return max(FEWEST_REQUESTS, min(MOST_REQUESTS, outstanding // BLOCK // max(1, devices)))
