"""The composition root: builds every part from the settings and runs them until told to stop.

Only it and assembly.py name concrete backends. Nothing here decides anything about releases.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Iterable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from p2pupd import __version__
from p2pupd.api import metrics as metrics_api
from p2pupd.api import peer as peer_api
from p2pupd.assembly import (
    OnDisk,
    accounts_of,
    describe,
    discoveries,
    fleet_part,
    install_part,
    logs_part,
    media_feeds,
    old_images,
    open_disk,
    operators,
    order_shelf,
    own_loopback,
    site_part,
    swarm_peers,
    taking_home,
)
from p2pupd.config.load import Config
from p2pupd.config.reload import Reloader
from p2pupd.config.schema import Settings
from p2pupd.discovery import static
from p2pupd.discovery.interface import Discovery
from p2pupd.discovery.interfaces import InterfaceWatcher
from p2pupd.discovery.view import View
from p2pupd.engine.accounting import Accounts
from p2pupd.engine.board import Board
from p2pupd.engine.copies_watch import CopiesWatch
from p2pupd.engine.handing import Handing
from p2pupd.engine.line import Facts, LineCare
from p2pupd.engine.loop import Engine
from p2pupd.engine.operations import Operations
from p2pupd.engine.parts import Parts
from p2pupd.engine.pausing import PauseFile
from p2pupd.engine.served import Served
from p2pupd.engine.tasks import Tasks
from p2pupd.errors import UpdateError
from p2pupd.feeds.interface import Feed, Offer
from p2pupd.feeds.medium import read_offer
from p2pupd.feeds.neighbours import NeighbourFeed
from p2pupd.feeds.peer_client import PeerClient
from p2pupd.feeds.range_client import RangeClient
from p2pupd.feeds.stick import export_to
from p2pupd.feeds.tuf_http import UplinkFeed
from p2pupd.health.runner import HealthRunner, configured_probes
from p2pupd.host.clock import Clock
from p2pupd.host.memory import give_back
from p2pupd.host.power import power_ok, restart
from p2pupd.host.systemd import ServiceManager
from p2pupd.model.device import Announcement, Neighbour, Role
from p2pupd.model.ids import NO_MANIFEST, DeviceId, ManifestDigest, Sha256, announced
from p2pupd.swarm.arrivals import Arrivals, Wires
from p2pupd.swarm.over_http import HttpPieces
from p2pupd.swarm.select import Backed, swarm_backend
from p2pupd.wire.messages import Hello, Notify

log = logging.getLogger(__name__)


class Daemon:
    """All parts of one device, wired. Also what neighbours and discovery talk to."""

    def __init__(self, config: Config, manager: ServiceManager) -> None:
        self._settings: Settings = config.settings
        self.shutdown_grace = config.settings.device.shutdown_grace
        self._socket = config.control_socket
        self.reloader = Reloader(config)
        self.manager = manager
        self._port = 0
        self._discoveries: list[Discovery] = []
        self._arrivals = Arrivals()

    async def run(self) -> None:
        """Start everything in its order; run until cancelled."""
        settings = self._settings
        fixed = await asyncio.to_thread(self.open_disk)
        self._fixed = fixed
        sockets = peer_api.listen(settings.peer)
        self._port = sockets[0].getsockname()[1]
        async with AsyncExitStack() as stack:
            stack.callback(os.close, fixed.lock)
            stack.callback(fixed.journal.close)
            self._client = await stack.enter_async_context(
                PeerClient(settings.neighbours, own_loopback(settings.peer.listen))
            )
            self._swarm = self._choose_swarm()
            group = await stack.enter_async_context(asyncio.TaskGroup())
            self._tasks = Tasks(group)
            own, role = fixed.identity.id, settings.device.role
            self._served = Served(
                fixed.store, role, self._tasks, self._arrivals, self._swarm.holdings
            )
            self._handing = Handing(own, role, fixed.store, self._swarm)
            self._tasks.supervise("swarm", self._swarm.run)
            await self._swarm.listening()
            self._build()
            await asyncio.to_thread(self.fleet.load)
            await asyncio.to_thread(self.orders.load)
            await self.line.start()
            self._start(sockets)
            await self.engine.ready.wait()
            give_back()
            self.manager.ready()
            self.manager.status(f"device {fixed.identity.id}")
            log.info(
                "daemon.ready version=%s device=%s realm=%s port=%d bt=%d",
                __version__,
                fixed.identity.id,
                fixed.verifier.realm,
                self._port,
                self._swarm.listen_port,
            )

    def open_disk(self) -> OnDisk:
        """Everything on disk. Blocks; raises ConfigError, HostError or SpaceError."""
        return open_disk(self._settings)

    def _choose_swarm(self) -> Backed:
        settings, client = self._settings, self._client
        pieces = HttpPieces(client.layer, client.artifact_range, settings.swarm.block_for)
        self._pieces = pieces
        stream = RangeClient(settings.neighbours, own_loopback(settings.peer.listen)).stream
        role = settings.device.role
        return swarm_backend(
            self._fixed.identity.id,
            settings.swarm,
            pieces,
            uploads=role is not Role.LEECH,
            carries_all=role is Role.SEED,
            express=Wires(client.layer, stream, client.handout, self._arrivals),
        )

    def _build(self) -> None:
        settings, fixed = self._settings, self._fixed
        self.uplink = UplinkFeed(
            settings.uplink,
            settings.trust,
            settings.state_dir,
            known=fixed.verifier.current_bundle,
            on_change=lambda: self._announce(self._current()),
        )
        self._watcher = InterfaceWatcher(settings.discovery)
        self.view = View(
            settings.discovery,
            fixed.identity.id,
            fixed.verifier.realm,
            ask_hello=self._ask_hello,
            interfaces=self._watcher,
            listener=self,
        )
        self._build_fleet()
        self._discoveries = discoveries(
            settings.discovery, self._announcement(), self._watcher, self._ask_hello
        )
        self.feed = NeighbourFeed(
            settings.neighbours,
            self._client.bundle,
            self._current,
            suspect=self.view.suspect,
        )
        self._build_line()
        self.engine = Engine(self._parts(), settings.device)
        self.board = Board(self.engine, self.fleet, self.orders)

    def _build_fleet(self) -> None:
        settings, fixed = self._settings, self._fixed
        self.fleet = fleet_part(settings, fixed, self.view.neighbours, self._client.sync)
        logs = logs_part(fixed, self.fleet, self.view.neighbours, self._client.log)
        self.taking_home = taking_home(settings, fixed, self.fleet, logs)
        self.orders = order_shelf(
            settings, fixed, self.fleet, engine=lambda: self.engine, line=lambda: self.line
        )

    def _build_line(self) -> None:
        settings = self._settings
        self.line = LineCare(
            settings.limits,
            Facts(
                role=settings.device.role,
                now=lambda: self.engine.parts.clock().now,
                neighbours=self.view.neighbours,
                releases=lambda: self.engine.manifest.releases if self.engine.manifest else (),
                seed_cap=self.orders.seed_cap,
            ),
            PauseFile(settings.state_dir),
            self._swarm,
        )
        self.reloader.live.append(("limits", (), self.line.configure))
        self.reloader.live.append(("uplink", ("rate", "monthly", "hours"), self.uplink.apply))

    def _parts(self) -> Parts:
        settings, fixed = self._settings, self._fixed
        device, install = settings.device, install_part(settings)
        return Parts(
            device=fixed.identity.id,
            journal=fixed.journal,
            store=fixed.store,
            swarm=self._swarm,
            verifier=fixed.verifier,
            install=install,
            clock=Clock(settings.clock).read,
            probe=HealthRunner(settings.health, configured_probes(settings.health)).run,
            reboot=partial(restart, device.reboot_command, device.reboot_timeout),
            power_ok=partial(power_ok, device.least_battery),
            announce=self._announce,
            leech_cache=settings.store.leech_cache,
            uplinks=lambda: frozenset(each.id for each in self.view.neighbours() if each.uplink),
            moves=self.line.moves,
            view=lambda: self.fleet.view,
            changed=self.fleet.poke,
            site=site_part(settings, self.orders),
            asking=self._pieces,
            old_images=partial(old_images, settings.delta, install),
        )

    def _operations(self, accounts: Accounts) -> Operations:
        settings = self._settings
        return Operations(
            self.engine,
            self.engine.parts,
            settings.device,
            read_path=partial(read_offer, limits=settings.media),
            write_stick=export_to,
            neighbours=self.view.neighbours,
            ask_neighbours=self._check,
            uplink=self.uplink.state,
            line=self.line,
            reload=self.reloader.reload,
            accounts=accounts,
            fleet=self.fleet,
            orders=self.orders,
            board=self.board,
        )

    def _start(self, sockets: list[socket.socket]) -> None:
        settings, tasks = self._settings, self._tasks
        accounts = accounts_of(self.engine, self._served)
        operations = self._operations(accounts)
        metrics = metrics_api.listen(settings.metrics)
        if metrics is not None:
            tasks.supervise("metrics", partial(metrics_api.serve, operations.metrics, *metrics))
        doors = operators(settings, self._fixed, operations)
        app = peer_api.peer_app(self, settings.peer, self.line, self._handing.parts)
        tasks.start("engine", self.engine.run())
        tasks.supervise("peer-api", partial(peer_api.serve, app, sockets, settings.peer))
        tasks.supervise("control-api", partial(doors.serve_socket, self._socket))
        tasks.supervise("dashboard", doors.serve_dashboard)
        self._start_floor(accounts)
        tasks.supervise("line", self.line.run)
        tasks.supervise("reload", self.reloader.run)
        tasks.supervise("interfaces", self._watcher.run)
        tasks.supervise("neighbours", self.view.run)
        for discovery in self._discoveries:
            tasks.supervise(type(discovery).__name__, partial(discovery.run, self.view))
        feeds: list[Feed] = [self.feed, self.uplink, *media_feeds(settings.media)]
        for feed in feeds:
            tasks.supervise(type(feed).__name__, partial(feed.run, self))
        tasks.start("watchdog", self.manager.run(self.engine.alive))

    def _start_floor(self, accounts: Accounts) -> None:
        own = describe(
            self._settings,
            self.engine,
            accounts,
            self._watcher,
            port=lambda: self._port,
            fleet=self.fleet,
        )
        watch = CopiesWatch(self.engine, self.fleet, self.taking_home.news, self.board.look)
        self._tasks.start("results", self.taking_home.run())
        self._tasks.start("fleet", self.fleet.run(own.content, watch.look))
        self._tasks.supervise("orders", self.orders.run)

    # -- FeedListener ----------------------------------------------------------------------------

    def offer(self, offer: Offer) -> None:
        self.engine.offer(offer)
        self.taking_home.offered(offer)

    def source_gone(self, source: str) -> None:
        """A stick was pulled."""
        self.engine.source_gone(source)
        self.taking_home.gone(source)

    def source_refused(self, source: str, error: Exception) -> None:
        """A stick could not be read safely."""
        if isinstance(error, UpdateError):
            self.engine.source_refused(source, error)

    # -- DiscoveryListener -----------------------------------------------------------------------

    def neighbour_seen(self, neighbour: Neighbour) -> None:
        """An admitted neighbour appeared or changed."""
        self.feed.neighbour_seen(neighbour)
        self.fleet.met(neighbour.id)
        self._meet()
        if neighbour.source == static.SOURCE:
            self._tasks.start("notify", self._notify((neighbour,)))

    def neighbour_lost(self, neighbour: DeviceId, source: str) -> None:
        """It is gone; one that is let go because there are enough others may well live."""
        self.feed.neighbour_lost(neighbour, source)
        if len(self.view.neighbours()) < self._settings.discovery.neighbours:
            self.fleet.lost(neighbour)
        self._meet()

    def _meet(self) -> None:
        self._swarm.set_peers(swarm_peers(self.view.neighbours()))
        self.line.poke()

    # -- PeerState -------------------------------------------------------------------------------

    def hello(self) -> Hello:
        """Who we are now."""
        return Hello(
            id=self._fixed.identity.id,
            realm=self._fixed.verifier.realm,
            manifest=self._current() or NO_MANIFEST,
            role=self._settings.device.role,
            port=self._port,
            bt_port=self._swarm.listen_port,
            version=__version__,
            uplink=self.uplink.available,
            view=self.fleet.sync.digest.hex(),
        )

    def bundle(self) -> tuple[ManifestDigest, bytes] | None:
        digest, raw = self._current(), self._fixed.verifier.current_bundle()
        return None if digest is None or raw is None else (digest, raw)

    async def artifact(self, sha256: Sha256, part: tuple[int, int] | None) -> Path | None:
        return await self._served.artifact(sha256, part)

    async def layer(self, sha256: Sha256) -> bytes | None:
        return await self._served.layer(sha256)

    def sent(self, sha256: Sha256, amount: int) -> None:
        self._served.sent(sha256, amount)

    async def sync(self, raw: bytes) -> bytes:
        return await self.fleet.sync.answer(raw)

    async def log(self) -> bytes:
        return await self.taking_home.logs.own()

    def notified(self, notify: Notify, address: str) -> None:
        """A neighbour's manifest changed, or whether it has an uplink."""
        self.view.told(notify.id, notify.manifest, address, notify.port, uplink=notify.uplink)

    async def _ask_hello(self, host: str, port: int) -> Hello:
        hello = await self._client.hello(host, port)
        self.fleet.answered(hello.id, hello.view)
        return hello

    # -- ourselves -------------------------------------------------------------------------------

    def _current(self) -> ManifestDigest | None:
        manifest = self._fixed.verifier.current()
        return ManifestDigest(manifest.digest) if manifest else None

    def _announcement(self) -> Announcement:
        hello = self.hello()
        manifest = announced(hello.manifest)
        return Announcement(
            hello.id, hello.realm, manifest, hello.role, hello.port, hello.bt_port, hello.uplink
        )

    def _announce(self, manifest: ManifestDigest | None) -> None:
        self.line.poke()
        for discovery in self._discoveries:
            discovery.announce(self._announcement())
        if manifest is not None:
            self._tasks.start("notify", self._notify(self.view.neighbours()))

    def _check(self) -> None:
        self.feed.check()
        self.uplink.check()

    async def _notify(self, neighbours: Iterable[Neighbour]) -> None:
        hello = self.hello()
        notify = Notify(hello.id, hello.manifest, hello.port, hello.uplink)
        for each in await self._client.notify(neighbours, notify):
            self.view.suspect(each)
