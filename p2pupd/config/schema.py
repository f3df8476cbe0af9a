"""All settings, composed from each room's own class; the only place that knows the sections."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from p2pupd.api.settings import (
    ControlSettings,
    DashboardSettings,
    MetricsSettings,
    PeerApiSettings,
)
from p2pupd.discovery.settings import DiscoverySettings
from p2pupd.engine.delta_settings import DeltaSettings
from p2pupd.engine.fleet_settings import FleetSettings
from p2pupd.engine.limit_settings import LimitSettings
from p2pupd.engine.settings import DeviceSettings
from p2pupd.engine.site_settings import SiteSettings
from p2pupd.errors import ConfigError
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.feeds.settings import MediaSettings
from p2pupd.feeds.uplink_settings import UplinkSettings
from p2pupd.health.settings import HealthSettings
from p2pupd.host.settings import ClockSettings
from p2pupd.install.settings import InstallSettings
from p2pupd.journal.settings import JournalSettings
from p2pupd.model.setting import NO_PATH
from p2pupd.store.settings import StoreSettings
from p2pupd.swarm.settings import SwarmSettings
from p2pupd.trust.settings import TrustSettings

DEFAULT_STATE_DIR: Final = Path("/var/lib/p2pupd")
DEFAULT_SOCKET: Final = Path("/run/p2pupd/control.sock")
MAX_SOCKET_PATH: Final = 107


@dataclass(frozen=True, slots=True)
class Settings:
    """One attribute a section."""

    device: DeviceSettings = field(default_factory=DeviceSettings)
    install: InstallSettings = field(default_factory=InstallSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    trust: TrustSettings = field(default_factory=TrustSettings)
    clock: ClockSettings = field(default_factory=ClockSettings)
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    peer: PeerApiSettings = field(default_factory=PeerApiSettings)
    swarm: SwarmSettings = field(default_factory=SwarmSettings)
    neighbours: NeighbourFeedSettings = field(default_factory=NeighbourFeedSettings)
    media: MediaSettings = field(default_factory=MediaSettings)
    uplink: UplinkSettings = field(default_factory=UplinkSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    delta: DeltaSettings = field(default_factory=DeltaSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    fleet: FleetSettings = field(default_factory=FleetSettings)
    site: SiteSettings = field(default_factory=SiteSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    dashboard: DashboardSettings = field(default_factory=DashboardSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)

    def together(self) -> Iterator[tuple[str, str]]:
        """What is wrong between settings: (dotted key, clause)."""
        if self.install.component and not self.device.hardware:
            yield "device.hardware", "is empty: name what this device is, as releases do"
        for name in ("install", "health", "uplink"):
            for key, wrong in getattr(self, name).together():
                yield f"{name}.{key}".rstrip("."), wrong

    @property
    def state_dir(self) -> Path:
        """Where this device keeps what it must not forget."""
        return self.device.state_dir

    @property
    def control_socket(self) -> Path:
        """Where the control API is. Raises ConfigError if the path is too long for a socket."""
        path = self.control.socket
        if path == NO_PATH:
            moved = self.state_dir != DEFAULT_STATE_DIR
            path = self.state_dir / "control.sock" if moved else DEFAULT_SOCKET
        if len(str(path).encode()) > MAX_SOCKET_PATH:
            raise ConfigError(
                f"control.socket: {path} is longer than {MAX_SOCKET_PATH} bytes, which is the "
                "limit for Unix sockets; set a shorter one"
            )
        return path
