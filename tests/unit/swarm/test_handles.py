"""What a real torrent's handle tells, before and after the torrent was removed."""

from pathlib import Path

import libtorrent as lt

from p2pupd.swarm import handles
from p2pupd.swarm.interface import Holdings
from p2pupd.swarm.torrent import fresh
from tests.support import eventually
from tests.swarming import an_artifact


async def test_a_torrent_that_was_removed_tells_nothing(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path, 1 << 20, 1 << 18)
    session = lt.session({"listen_interfaces": "", "enable_dht": False})
    handle = session.add_torrent(fresh(artifact, tmp_path))
    await eventually(lambda: handles.holdings(handle, artifact.pieces).here == [True] * 4)
    assert handles.met(handle) == []
    session.remove_torrent(handle)
    await eventually(lambda: not handle.is_valid())
    assert handles.holdings(handle, 4) == Holdings((False,) * 4, (0,) * 4, known=False)
    assert handles.met(handle) == []
