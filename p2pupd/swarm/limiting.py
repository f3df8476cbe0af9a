"""An allowance, applied to a running libtorrent session: rates, who may move, the mark on packets.

A torrent that may not move is paused: that stops payload within a round trip and gives connections
up, but checking, adding proved pieces and resume data go on, and neighbours are back within a
second of its end. (Choking with `upload_mode` gives up connections as well, lets a queue of blocks
out, and takes up to 17 s to come back.) `stop_when_ready` does it so that a torrent that is being
checked is paused once that is done.
"""

from collections.abc import Mapping
from typing import Final

import libtorrent as lt

from p2pupd.core.allowance import Allowance

COUNTED: Final = (1 << 31) - 1
"""Bytes per second: the highest rate that libtorrent can count, nearly 2 GiB/s."""
STOPPED = lt.torrent_flags.stop_when_ready | lt.torrent_flags.paused


def apply(
    session: lt.session, allowance: Allowance, torrents: Mapping[str, lt.torrent_handle]
) -> None:
    """Make `session` keep to `allowance` from now on; `torrents` are all of it, by pieces root.

    Twice equals once. Rates hold for neighbours of every address; one above `COUNTED` is none. A
    changed DSCP counts for connections to come. Waits for the network thread, for milliseconds.
    """
    session.apply_settings({"peer_dscp": allowance.dscp << 2})
    for number in (session.global_peer_class_id, session.local_peer_class_id):
        group = session.get_peer_class(number)
        group["upload_limit"] = _counted(allowance.upload)
        group["download_limit"] = _counted(allowance.download)
        session.set_peer_class(number, group)
    for root, handle in torrents.items():
        if not handle.is_valid():
            continue
        if not allowance.moves(root):
            handle.set_flags(lt.torrent_flags.stop_when_ready)
        elif handle.flags() & STOPPED:
            _go_on(handle)


def _counted(rate: int) -> int:
    return rate if rate <= COUNTED else 0


def _go_on(handle: lt.torrent_handle) -> None:
    """Its counters begin at 0 again: tell the last and the first ones, so that none is missed."""
    handle.post_status()
    handle.unset_flags(STOPPED)
    handle.post_status()


def begin(parameters: lt.add_torrent_params, allowance: Allowance, root: str) -> None:
    """Let a torrent that is about to be added keep to `allowance` from its first moment."""
    if not allowance.moves(root):
        parameters.flags |= lt.torrent_flags.stop_when_ready


def recheck(handle: lt.torrent_handle, allowance: Allowance, root: str) -> None:
    """Look through the file again, also where the torrent may not move: paused, it never would."""
    _go_on(handle)
    handle.force_recheck()
    if not allowance.moves(root):
        handle.set_flags(lt.torrent_flags.stop_when_ready)
