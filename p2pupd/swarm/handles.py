"""What a torrent's handle tells. All of it blocks until the session answers.

A torrent that was removed meanwhile, to be started over, tells nothing.
"""

import libtorrent as lt

from p2pupd.swarm.interface import Holdings
from p2pupd.swarm.mesh import Met


def holdings(handle: lt.torrent_handle, pieces: int) -> Holdings:
    """Which of so many pieces are here, and with how many neighbours."""
    try:
        here = handle.status(lt.torrent_handle.query_pieces).pieces
        elsewhere = handle.piece_availability()
    except RuntimeError:
        return Holdings((False,) * pieces, (0,) * pieces, known=False)
    return Holdings(here or (False,) * pieces, elsewhere or (0,) * pieces)


def met(handle: lt.torrent_handle) -> list[Met]:
    """Who is connected, beyond the handshake."""
    try:
        peers = handle.get_peer_info()
    except RuntimeError:
        return []
    return [
        Met(peer.ip[0], bool(peer.flags & lt.peer_info.seed))
        for peer in peers
        if not peer.flags & (lt.peer_info.connecting | lt.peer_info.handshake)
    ]
