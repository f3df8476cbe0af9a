"""Which swarm runs, and how small."""

import sys

import pytest

from p2pupd.errors import ConfigError, FetchError
from p2pupd.model.ids import DeviceId
from p2pupd.swarm.http_only import HttpSwarm
from p2pupd.swarm.over_http import HttpPieces
from p2pupd.swarm.select import Backed, swarm_backend
from p2pupd.swarm.session import LibtorrentSwarm
from p2pupd.swarm.settings import Backend, Memory, SwarmSettings


async def nobody(*_: object) -> bytes:
    raise FetchError("there is nobody")


def chosen(backend: Backend) -> Backed:
    pieces = HttpPieces(nobody, nobody, 1)
    return swarm_backend(DeviceId("d"), SwarmSettings(backend=backend), pieces, uploads=True)


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        (Backend.AUTO, LibtorrentSwarm),
        (Backend.LIBTORRENT, LibtorrentSwarm),
        (Backend.HTTP, HttpSwarm),
    ],
)
async def test_the_setting_names_the_backend(backend: Backend, kind: type) -> None:
    assert isinstance(chosen(backend), kind)


async def test_without_libtorrent_there_is_http_unless_libtorrent_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "libtorrent", None)
    monkeypatch.delitem(sys.modules, "p2pupd.swarm.session")
    assert isinstance(chosen(Backend.AUTO), HttpSwarm)
    with pytest.raises(ConfigError, match=r"swarm\.backend is `libtorrent`.*install it"):
        chosen(Backend.LIBTORRENT)


def test_a_network_device_that_is_not_there_is_a_mistake_of_the_configuration() -> None:
    settings = SwarmSettings(interfaces=("127.0.0.1", "nosuch0", "lo"))
    with pytest.raises(ConfigError, match=r"no network device nosuch0 here; there are .*lo"):
        swarm_backend(DeviceId("d"), settings, HttpPieces(nobody, nobody, 1), uploads=True)


@pytest.mark.parametrize(
    ("settings", "connections"),
    [
        (SwarmSettings(), (80, 300)),
        (SwarmSettings(memory=Memory.SMALL), (8, 12)),
        (SwarmSettings(memory=Memory.SMALL, connections=3, connections_total=4), (3, 4)),
    ],
)
def test_little_memory_means_few_connections(
    settings: SwarmSettings, connections: tuple[int, int]
) -> None:
    fitted = settings.fitted()
    assert (fitted.connections, fitted.connections_total) == connections
