"""Settings of the device and of the engine."""

from dataclasses import dataclass
from pathlib import Path

from p2pupd.model.device import Role
from p2pupd.model.ids import HARDWARE_PATTERN
from p2pupd.model.setting import Seconds, at_least, not_empty, setting, spelled, within


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """`[device]`: what this device is, and what its owner allows."""

    state_dir: Path = setting(Path("/var/lib/p2pupd"), "Where the journal, keys and trust live")
    role: Role = setting(
        Role.PEER,
        "`seed` carries every release of the manifest for others; `peer` carries what it installs "
        "and what is on a stick put into it; `leech` never uploads",
    )
    hardware: tuple[str, ...] = setting(
        (), "Hardware ids that a release must name to fit", check=spelled(HARDWARE_PATTERN)
    )
    factory_version: str = setting("factory", "Version of the image that the device left with")
    factory_release: int = setting(0, "Release counter of that image", check=at_least(0))
    consent: bool = setting(False, "Install only after `p2pupd approve RELEASE`")
    least_battery: int = setting(
        30, "Percent of battery below which nothing is installed off mains", check=within(0, 100)
    )
    reboot_command: tuple[str, ...] = setting(
        ("systemctl", "reboot"),
        "Restarts the device; `{pid}` is the daemon's process id. Where there is nothing to "
        "reboot, a command that makes the supervisor start the daemon again",
        check=not_empty,
    )
    reboot_timeout: Seconds = setting(
        Seconds(300.0), "A reboot that has not happened by then is tried again", check=at_least(1)
    )
    recheck: Seconds = setting(
        Seconds(60.0),
        "How often a release that was refused for a passing reason (no space, battery) is "
        "looked at again",
        check=at_least(1),
    )
    stall_after: Seconds = setting(
        Seconds(300.0),
        "When one event keeps the daemon busy for longer, the service manager's watchdog is told "
        "no more that all is well",
        check=at_least(1),
    )
    shutdown_grace: Seconds = setting(
        Seconds(10.0), "How long tasks may take to end on SIGTERM", check=at_least(0)
    )
