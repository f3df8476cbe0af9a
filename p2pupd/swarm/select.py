"""Which swarm runs: the only place that knows both backends. libtorrent is imported only here."""

import logging
import socket
from typing import Protocol

from p2pupd.errors import ConfigError
from p2pupd.model.ids import DeviceId
from p2pupd.swarm.arrivals import Wires
from p2pupd.swarm.http_only import HttpSwarm
from p2pupd.swarm.interface import Swarm
from p2pupd.swarm.over_http import HttpPieces
from p2pupd.swarm.settings import Backend, SwarmSettings

log = logging.getLogger(__name__)


class Backed(Swarm, Protocol):
    """A swarm, and the port of its BitTorrent end."""

    @property
    def listen_port(self) -> int:
        """0 until it is open, and where there is none."""

    async def listening(self) -> int:
        """Wait until it runs; the port."""


def swarm_backend(
    own: DeviceId,
    settings: SwarmSettings,
    pieces: HttpPieces,
    *,
    uploads: bool,
    carries_all: bool = False,
    express: Wires | None = None,
) -> Backed:
    """The backend that `settings.backend` names. Raises ConfigError where it is not installed, or
    cannot listen because a network device is not there.

    With `express`, BitTorrent is left out while nobody else has use for it.
    """
    if settings.backend is Backend.HTTP:
        return HttpSwarm(pieces)
    try:
        from p2pupd.swarm.express import ExpressSwarm  # noqa: PLC0415 - libtorrent may be missing
        from p2pupd.swarm.session import LibtorrentSwarm  # noqa: PLC0415
    except ImportError as error:
        if settings.backend is Backend.LIBTORRENT:
            raise ConfigError(
                f"swarm.backend is `libtorrent`, which cannot be imported: {error}; install it,"
                " or set `http`"
            ) from error
        log.info("swarm.no-libtorrent error=%s", error)
        return HttpSwarm(pieces)
    _check_devices(settings)
    torrents = LibtorrentSwarm(
        own,
        settings.fitted(),
        uploads=uploads,
        carries_all=carries_all,
        pieces=pieces,
        handout=express.handout if express else None,
    )
    return ExpressSwarm(torrents, express, settings.block_for) if express else torrents


def _check_devices(settings: SwarmSettings) -> None:
    """An address may come later; a network device that is not there is most often misspelt."""
    here = {name for _, name in socket.if_nameindex()}
    unknown = set(settings.interfaces) - set(settings.addresses) - here
    if unknown:
        raise ConfigError(
            f"swarm.interfaces: there is no network device {', '.join(sorted(unknown))} here; "
            f"there are {', '.join(sorted(here))}"
        )
