"""Builds parts of a device from its settings; with daemon.py the only one to name backends."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from p2pupd import BUILD_TIME
from p2pupd.api.control import Controls
from p2pupd.api.doors import PeerDoor, group_number, user_number
from p2pupd.api.operators import Operators
from p2pupd.api.tokens import read_token
from p2pupd.config.schema import Settings
from p2pupd.discovery.interface import AskHello, Discovery
from p2pupd.discovery.interfaces import InterfaceWatcher
from p2pupd.discovery.mdns import MdnsDiscovery
from p2pupd.discovery.settings import DiscoverySettings
from p2pupd.discovery.static import StaticPeers
from p2pupd.engine.accounting import Accounts
from p2pupd.engine.courses import CourseFile
from p2pupd.engine.delta_settings import DeltaSettings
from p2pupd.engine.fleet import Fleet
from p2pupd.engine.fleetsync import Call
from p2pupd.engine.line import LineCare
from p2pupd.engine.logs import Ask as AskLog
from p2pupd.engine.logs import Logs
from p2pupd.engine.loop import Engine
from p2pupd.engine.orders import OrderShelf
from p2pupd.engine.own_record import Describer
from p2pupd.engine.parts import InstallPart, SitePart
from p2pupd.engine.served import Served
from p2pupd.engine.taking_home import TakingHome
from p2pupd.feeds.directory import DirectoryFeed
from p2pupd.feeds.interface import Feed
from p2pupd.feeds.results import write_results
from p2pupd.feeds.settings import MediaSettings
from p2pupd.feeds.usb import UsbFeed
from p2pupd.host.clock import Clock
from p2pupd.host.files import hold
from p2pupd.install.bootloaders.select import boot_control
from p2pupd.install.interface import OldImage
from p2pupd.install.slots import SlotsInstaller
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.device import Announcement, ByteCounts, Neighbour, Role
from p2pupd.model.fleet import Link
from p2pupd.model.ids import ComponentId
from p2pupd.model.release import Artifact
from p2pupd.model.setting import NO_PATH
from p2pupd.store.disk import DiskStore
from p2pupd.swarm.interface import SwarmPeer
from p2pupd.trust.identity import Identity, load_or_create
from p2pupd.trust.verifier import Verifier


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What is known before anything runs. `lock` keeps a second daemon out of it; `door` and
    `token` say who may control."""

    lock: int
    identity: Identity
    verifier: Verifier
    store: DiskStore
    journal: SqliteJournal
    door: PeerDoor
    token: str | None


def open_disk(settings: Settings) -> OnDisk:
    """Everything on disk. Blocks; raises ConfigError, HostError or SpaceError."""
    state, store = settings.state_dir, settings.store.directory
    control = settings.control
    door = PeerDoor(map(user_number, control.users), group_number(control.group))
    token = None if control.token_file == NO_PATH else read_token(control.token_file)
    return OnDisk(
        lock=hold(state / "lock"),
        identity=load_or_create(state / "device.key"),
        verifier=Verifier(state / "trust", settings.trust, BUILD_TIME),
        store=DiskStore(state / "store" if store == NO_PATH else store, settings.store),
        journal=SqliteJournal(state / "journal.sqlite", settings.journal),
        door=door,
        token=token,
    )


def operators(settings: Settings, fixed: OnDisk, controls: Controls) -> Operators:
    """Where operators look and act."""
    who = {"device": fixed.identity.id, "site": settings.fleet.site}
    return Operators(
        controls,
        who,
        control=settings.control,
        dashboard=settings.dashboard,
        door=fixed.door,
        token=fixed.token,
    )


def install_part(settings: Settings) -> InstallPart | None:
    """The component that is installed here; None where there is none."""
    install = settings.install
    if not install.component:
        return None
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


async def old_images(settings: DeltaSettings, install: InstallPart | None) -> list[OldImage]:
    """Images that pieces of a pack may be made of: what runs, and what the settings name."""
    named = [OldImage(path) for path in settings.sources]
    return [await install.installer.running_image(), *named] if install else named


def fleet_part(
    settings: Settings,
    fixed: OnDisk,
    neighbours: Callable[[], Iterable[Neighbour]],
    call: Call,
) -> Fleet:
    """What this device knows of the floor, and tells it."""
    return Fleet(
        settings.fleet,
        fixed.identity,
        fixed.verifier.realm,
        fixed.journal,
        clock=Clock(settings.clock).read,
        neighbours=neighbours,
        call=call,
    )


def logs_part(
    fixed: OnDisk, fleet: Fleet, neighbours: Callable[[], Iterable[Neighbour]], ask: AskLog
) -> Logs:
    """Lines of history, signed: this device's, and its neighbours'."""
    identity, realm = fixed.identity, fixed.verifier.realm
    return Logs(identity, realm, fixed.journal, now=fleet.now, neighbours=neighbours, ask=ask)


def taking_home(settings: Settings, fixed: OnDisk, fleet: Fleet, logs: Logs) -> TakingHome:
    """Writes what the floor knows to every stick that comes."""
    return TakingHome(
        lambda path, raw: write_results(path, fixed.verifier.realm, fixed.identity.id, raw),
        lambda: fleet.view,
        logs,
        now=fleet.now,
        wanted=settings.media.results,
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
        settle=settings.site.settle,
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


def accounts_of(engine: Engine, served: Served) -> Accounts:
    """To be asked once the engine has begun."""

    def counts(artifact: Artifact) -> ByteCounts:
        return engine.content.counts(artifact)

    return Accounts(counts, served.handed_out)


def describe(
    settings: Settings,
    engine: Engine,
    accounts: Accounts,
    watcher: InterfaceWatcher,
    *,
    port: Callable[[], int],
    fleet: Fleet,
) -> Describer:
    """What this device says about itself; see Describer for `port`."""
    return Describer(
        engine,
        engine.parts,
        settings.device,
        settings.fleet,
        accounts,
        links=lambda: [Link(each.interface, each.address) for each in watcher.used],
        port=port,
        beat=fleet.beat,
        known=fleet.known,
    )


def discoveries(
    settings: DiscoverySettings,
    announcement: Announcement,
    watcher: InterfaceWatcher,
    ask_hello: AskHello,
) -> list[Discovery]:
    """The ways to find neighbours that are turned on."""
    found: list[Discovery] = []
    if settings.mdns:
        found.append(MdnsDiscovery(settings, announcement, watcher))
    if settings.peers:
        found.append(StaticPeers(settings, ask_hello))
    return found


def media_feeds(settings: MediaSettings) -> list[Feed]:
    """What brings releases from sticks and from directories that stand for them."""
    return [UsbFeed(settings), DirectoryFeed(settings)]


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
