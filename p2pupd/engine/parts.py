"""What the engine is given: the edges behind their interfaces. Built by daemon.py, and by tests."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from p2pupd.core.orders import NO_ORDERS, SiteOrders
from p2pupd.engine.courses import CourseFile
from p2pupd.engine.reusing import OldImages, no_images
from p2pupd.engine.site_settings import SiteSettings
from p2pupd.health.interface import ProbeResult
from p2pupd.install.interface import Installer
from p2pupd.journal.interface import Journal
from p2pupd.model.clock import WallClock
from p2pupd.model.fleet import View
from p2pupd.model.ids import ComponentId, DeviceId, ManifestDigest
from p2pupd.store.interface import Store
from p2pupd.swarm.interface import Asking, Swarm
from p2pupd.trust.verifier import Verifier


@dataclass(frozen=True, slots=True)
class InstallPart:
    """The component that this device installs, with what, and of which line (empty: any)."""

    component: ComponentId
    kind: str
    installer: Installer
    line: str = ""


@dataclass(frozen=True, slots=True)
class SitePart:
    """What the site allows, in which of its groups this device is, what its operators order now,
    and where the course of rollouts is kept (None: nowhere)."""

    settings: SiteSettings = SiteSettings()
    groups: tuple[str, ...] = ()
    orders: Callable[[], SiteOrders] = lambda: NO_ORDERS
    courses: CourseFile | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """`probe` runs the health probes to their verdict, `reboot` restarts the device and returns
    only if that failed to happen, `power_ok` says whether there is enough power to install.
    `announce` tells the neighbours, without blocking, that the manifest is now this one.
    `leech_cache`: bytes that a leech keeps in its store when nothing is on its way. `uplinks` are
    the neighbours that have an uplink; `moves` whether payload of that pieces root may move; `view`
    what this device has heard of the floor. `changed` is called after every line of history.
    Without `asking`, nothing is made of older packs and of `old_images`."""

    device: DeviceId
    journal: Journal
    store: Store
    swarm: Swarm
    verifier: Verifier
    install: InstallPart | None
    clock: Callable[[], WallClock]
    probe: Callable[[], Awaitable[ProbeResult]]
    reboot: Callable[[], Awaitable[None]]
    power_ok: Callable[[], bool]
    announce: Callable[[ManifestDigest], None]
    leech_cache: int = 0
    uplinks: Callable[[], frozenset[DeviceId]] = frozenset
    moves: Callable[[str], bool] = lambda _: True
    view: Callable[[], View] = View
    changed: Callable[[], None] = lambda: None
    site: SitePart = SitePart()
    asking: Asking | None = None
    old_images: OldImages = no_images
