"""What `doctor` looks at on the device itself. Nothing here changes anything."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from p2pupd import BUILD_TIME
from p2pupd.api.control_client import ControlClient
from p2pupd.cli.finding import Finding, fail, ok, warn
from p2pupd.cli.network_examination import multicast, ports, uplink
from p2pupd.cli.watching import size
from p2pupd.config.load import Config
from p2pupd.config.schema import Settings
from p2pupd.errors import ConfigError, InstallError, UpdateError
from p2pupd.host.clock import Clock
from p2pupd.host.settings import ClockTrust
from p2pupd.install.bootloaders.select import boot_control, statefile_path
from p2pupd.install.pair import other
from p2pupd.install.settings import BootloaderKind
from p2pupd.install.slot_guard import refuse_unless_spare
from p2pupd.model.clock import WallClock
from p2pupd.model.device import BootFacts
from p2pupd.model.setting import NO_PATH
from p2pupd.trust.verifier import Verifier


def examine(load: Callable[[], Config], seconds: float) -> Iterator[Finding]:
    """All findings, each as soon as it is known. Listens to multicast for `seconds`.

    With a configuration that cannot be read, that is the only finding.
    """
    try:
        config = load()
        socket = config.control_socket
        slots = config.settings.install.slots() if config.settings.install.component else {}
    except ConfigError as error:
        for line in error.message.splitlines():
            yield fail("configuration", line, "correct it; `p2pupd config check` looks again")
        return
    settings = config.settings
    yield _configuration(config)
    yield _anchor(settings)
    yield from _disk(settings)
    if slots:
        yield from _slots(settings, slots)
    else:
        yield ok("slots", "install.component is empty: this device carries, but installs nothing")
    yield judge_clock(Clock(settings.clock).read(), settings.clock.trust)
    status = _ask(ControlClient(socket), "/v1/status")
    yield _daemon(status)
    alive = isinstance(status, dict)
    yield from ports(settings, held_by_us=alive)
    peers = _ask(ControlClient(socket), "/v1/peers") if alive else []
    yield from uplink(settings)
    yield from multicast(settings.discovery, peers if isinstance(peers, list) else [], seconds)


def _configuration(config: Config) -> Finding:
    places = set(config.origins.values())
    return ok("configuration", "valid: " + (", ".join(sorted(places)) or "defaults only"))


def _anchor(settings: Settings) -> Finding:
    with TemporaryDirectory() as nowhere:
        try:
            realm = Verifier(Path(nowhere), settings.trust, BUILD_TIME).realm
        except UpdateError as error:
            advice = "copy the first root.json of the fleet's repository there"
            return fail("trust anchor", error.message, advice)
    return ok("trust anchor", f"{settings.trust.root}, realm {realm}")


def _disk(settings: Settings) -> Iterator[Finding]:
    state, store = settings.state_dir, settings.store.directory
    yield _directory("state directory", state, settings.store.reserve)
    if store != NO_PATH:
        yield _directory("store directory", store, settings.store.reserve)


def _directory(check: str, path: Path, reserve: int) -> Finding:
    """Looked at from the nearest directory that is there: the daemon makes the rest."""
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir():
        return fail(check, f"{there} is not a directory", "move it away")
    if not os.access(there, os.W_OK | os.X_OK):
        return fail(check, f"{there} is not writable", "give it to the daemon's user, or remount")
    disk = os.statvfs(there)
    free = disk.f_bavail * disk.f_frsize
    says = f"{path}, {size(free)} free"
    if free <= reserve:
        says += f", {size(reserve)} of it are kept for others (store.reserve)"
        return warn(check, says, "make room on that disk: nothing can be fetched")
    return ok(check, says + ("" if path == there else ", made at the first start"))


def _slots(settings: Settings, slots: Any) -> Iterator[Finding]:
    facts = _boot(settings)
    yield facts if isinstance(facts, Finding) else _boot_finding(settings, facts)
    running = facts.booted if isinstance(facts, BootFacts) else settings.install.initial_slot
    spare = other(running)
    try:
        refuse_unless_spare(slots[spare], slots[running])
    except InstallError as error:
        yield fail("slots", error.message, "look at install.slot_a and install.slot_b")
        return
    held = slots[spare] if slots[spare].exists() else slots[spare].parent
    if not os.access(held, os.W_OK):
        says = f"{slots[spare]} is the spare slot, and cannot be written"
        yield fail("slots", says, "give it to the daemon's user, or look at its write protection")
        return
    there = "" if slots[spare].exists() else " (a file, made at the first installation)"
    yield ok("slots", f"{slots[spare]} is the spare slot, and nothing uses it{there}")


def _boot(settings: Settings) -> BootFacts | Finding:
    check = "boot environment"
    install = settings.install
    made = statefile_path(install, settings.state_dir)
    try:
        if install.bootloader is BootloaderKind.STATEFILE and not made.exists():
            return ok(check, f"{made} is made when first needed, with slot {install.initial_slot}")
        return asyncio.run(boot_control(install, settings.state_dir).read())
    except UpdateError as error:
        return fail(check, error.message, "see docs/bootloaders.md")
    except PermissionError:
        return fail(check, f"{made} may not be looked at", "run doctor as the daemon's user")


def _boot_finding(settings: Settings, facts: BootFacts) -> Finding:
    says = f"{settings.install.bootloader}: slot {facts.booted} runs"
    if facts.armed is not None:
        says += f", slot {facts.armed} is on trial, {facts.tries_left} tries left"
    if facts.booted not in {facts.primary, facts.armed}:
        return warn(
            "boot environment",
            f"{says}, but slot {facts.primary} is the one to boot",
            "did the bootloader return to the other slot? `p2pupd status` tells more",
        )
    return ok("boot environment", says)


def judge_clock(now: WallClock, trust: ClockTrust) -> Finding:
    """What the wall clock is worth under the setting `clock.trust`."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now.now))
    if now.now < BUILD_TIME:
        return warn(
            "clock",
            f"{stamp} is before this software was made",
            "set the clock; until then the dates of the signed metadata are used instead",
        )
    if now.trusted:
        return ok("clock", f"{stamp}, trusted: expiry of metadata is judged by it")
    if trust is ClockTrust.SYNCHRONISED:
        return warn(
            "clock",
            f"{stamp}, but the kernel says that no time service keeps it right",
            "start the time service; until then expiry of metadata only warns",
        )
    return ok("clock", f"{stamp}, not trusted (clock.trust): expiry of metadata only warns")


def _ask(client: ControlClient, target: str) -> Any:
    try:
        return client.get(target)
    except UpdateError as error:
        return error


def _daemon(status: Any) -> Finding:
    if isinstance(status, UpdateError):
        return fail("daemon", status.message, "systemctl status p2pupd; journalctl -u p2pupd")
    return ok("daemon", f"version {status['version']}, device {status['device'][:14]}…")
