"""Neighbours named in the configuration, for networks in which multicast is filtered."""

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable
from typing import Final

from p2pupd.core.backoff import delay
from p2pupd.discovery.interface import AskHello, DiscoveryListener
from p2pupd.discovery.settings import DiscoverySettings, split_peer
from p2pupd.errors import FetchError, UpdateError
from p2pupd.model.device import Announcement, Neighbour
from p2pupd.model.ids import announced
from p2pupd.wire.messages import Hello

log = logging.getLogger(__name__)

SOURCE: Final = "static"


def neighbour_of(hello: Hello, host: str, port: int, source: str, now: float) -> Neighbour:
    """The neighbour that answered with `hello` at that address."""
    return Neighbour(
        id=hello.id,
        host=host,
        port=port,
        bt_port=hello.bt_port,
        realm=hello.realm,
        manifest=announced(hello.manifest),
        role=hello.role,
        source=source,
        last_seen=now,
        uplink=hello.uplink,
    )


class StaticPeers:
    """`Discovery` by asking every configured peer for its hello, again and again."""

    def __init__(
        self,
        settings: DiscoverySettings,
        ask_hello: AskHello,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._peers = tuple(split_peer(text) for text in settings.peers)
        self._interval = settings.peer_interval
        self._ask_hello = ask_hello
        self._clock = clock
        self._chance = chance

    async def run(self, listener: DiscoveryListener) -> None:
        """Ask until cancelled; a peer that does not answer is asked ever more rarely."""
        async with asyncio.TaskGroup() as group:
            for host, port in self._peers:
                group.create_task(self._follow(listener, host, port))
            await asyncio.Event().wait()

    def announce(self, announcement: Announcement) -> None:
        """Nothing to do: a static peer learns of us by a notify."""

    async def _follow(self, listener: DiscoveryListener, host: str, port: int) -> None:
        failures = 0
        while True:
            try:
                neighbour = await self._ask(host, port)
            except UpdateError as error:
                failures += 1
                if failures == 1:
                    log.info("static.silent peer=%s:%d detail=%s", host, port, error)
                await asyncio.sleep(min(delay(failures, self._chance()), self._interval))
            else:
                failures = 0
                listener.neighbour_seen(neighbour)
                await asyncio.sleep(self._interval)

    async def _ask(self, host: str, port: int) -> Neighbour:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise FetchError(f"cannot find the address of the peer {host}: {error}") from error
        addresses = sorted((family != socket.AF_INET, where[0]) for family, *_, where in found)
        address = str(addresses[0][1])
        hello = await self._ask_hello(address, port)
        return neighbour_of(hello, address, port, SOURCE, self._clock())
