"""From an artifact to its torrent (BEP 52).

Everything comes from the four signed values of an artifact, so there is no torrent file to
believe: a wrong piece or a wrong hash list cannot match the signed root.
"""

from pathlib import Path
from typing import Any, Final

import libtorrent as lt

from p2pupd.errors import FetchError
from p2pupd.model.release import Artifact

BLOCK: Final = 16 * 1024

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
