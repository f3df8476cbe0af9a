"""Builds parts of a device from its settings; with daemon.py the only one to name backends."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from p2pupd import BUILD_TIME
from p2pupd.config.schema import Settings
from p2pupd.engine.courses import CourseFile
from p2pupd.engine.fleet import Fleet
from p2pupd.engine.line import LineCare
from p2pupd.engine.loop import Engine
from p2pupd.engine.orders import OrderShelf
from p2pupd.engine.parts import InstallPart, SitePart
from p2pupd.errors import ConfigError
from p2pupd.host.files import hold
from p2pupd.install.bootloaders.select import boot_control
from p2pupd.install.slots import SlotsInstaller
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.ids import ComponentId
from p2pupd.model.setting import NO_PATH
from p2pupd.store.disk import DiskStore
from p2pupd.swarm.interface import SwarmPeer
from p2pupd.trust.identity import Identity, load_or_create
from p2pupd.trust.verifier import Verifier


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What is known before anything runs. `lock` keeps a second daemon out of it."""

    lock: int
    identity: Identity
    verifier: Verifier
    store: DiskStore
    journal: SqliteJournal


def open_disk(settings: Settings) -> OnDisk:
    """Everything on disk. Blocks; raises ConfigError, HostError or SpaceError."""
    state, store = settings.state_dir, settings.store.directory
    return OnDisk(
        lock=hold(state / "lock"),
        identity=load_or_create(state / "device.key"),
        verifier=Verifier(state / "trust", settings.trust, BUILD_TIME),
        store=DiskStore(state / "store" if store == NO_PATH else store, settings.store),
        journal=SqliteJournal(state / "journal.sqlite", settings.journal),
    )


def install_part(settings: Settings) -> InstallPart | None:
    """The component that is installed here; None where there is none. Raises ConfigError."""
    install = settings.install
    if not install.component:
        return None
    if not settings.device.hardware:
        raise ConfigError("device.hardware is empty: name what this device is, as releases do")
    installer = SlotsInstaller(
        install.slots(),
        boot_control(install, settings.state_dir),
        settings.state_dir / "slots.json",
        tries=install.tries,
        dirty_limit=install.dirty_limit,
    )
    return InstallPart(
        ComponentId(install.component), install.installer, installer, line=install.line
    )


def order_shelf(
    settings: Settings,
    fixed: OnDisk,
    fleet: Fleet,
    *,
    engine: Callable[[], Engine],
    line: Callable[[], LineCare],
) -> OrderShelf:
    """Where the operators' orders lie, added to what spreads over the floor."""

    def changed() -> None:
        engine().reconsider()
        line().poke()

    shelf = OrderShelf(
        fleet.index,
        fixed.journal,
        realm=fixed.verifier.realm,
        site=settings.fleet.site,
        operators=settings.site.operators,
        note=lambda event, **fields: engine().note(event, **fields),
        changed=changed,
    )
    fleet.sync.add(shelf)
    return shelf


def site_part(settings: Settings, orders: OrderShelf) -> SitePart:
    """What the site says about installing."""
    return SitePart(
        settings.site,
        settings.fleet.groups,
        orders=lambda: orders.orders,
        courses=CourseFile(settings.state_dir),
    )


def swarm_peers(neighbours: Iterable[Neighbour]) -> list[SwarmPeer]:
    """What the swarm is told of them. A leech gives nothing by HTTP, so nobody need ask it."""
    return [
        SwarmPeer(
            each.id,
            each.host,
            each.bt_port,
            carries_all=each.role is Role.SEED,
            api_port=0 if each.role is Role.LEECH else each.port,
            uplink=each.uplink,
        )
        for each in neighbours
    ]


def own_loopback(addresses: tuple[str, ...]) -> str | None:
    """Many daemons on one machine tell each other apart by their loopback addresses."""
    return addresses[0] if ip_address(addresses[0]).is_loopback else None
