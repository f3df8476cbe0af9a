"""A fleet of real daemons for scenarios: released to by a real publisher, driven as users would."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from p2pupd.demo.device import COMPONENT, HARDWARE, Device
from p2pupd.demo.floor import phase_of
from p2pupd.host.processes import run
from scenarios.lib import evidence
from scenarios.lib.ground import Ground, Host

T = TypeVar("T")
Json = dict[str, Any]
PASS = "--no-passphrase"
LOG_LINES = 60
NOTHING = dict.fromkeys(("lan", "uplink", "usb", "reuse", "sent", "received", "wasted"), 0)
WAITS: dict[str, Json] = {"device": {"consent": True}}
"""Settings of a device that has its release when it comes to `waiting`, and does not restart."""


class Publisher:
    """A release engineer's directory, worked with `p2pupd repo`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.repository = directory / "repo"
        self.images: list[Path] = []

    @property
    def anchor(self) -> Path:
        return self.repository / "metadata" / "1.root.json"

    async def init(self) -> "Publisher":
        self.directory.mkdir(parents=True, exist_ok=True)
        await p2pupd(
            "repo", "init", str(self.repository), "--line", "demo", "--threshold", "1", PASS
        )
        return self

    async def release(
        self,
        size: int,
        *options: str,
        version: str | None = None,
        hardware: str = HARDWARE,
        packed: bool = False,
        content: bytes | None = None,
    ) -> Path:
        """Sign a new release of `content`, or of random bytes; the image's path. Carried raw unless
        `packed`."""
        number = len(self.images) + 1
        image = self.directory / f"image-{number}"
        image.write_bytes(content or os.urandom(size))
        self.images.append(image)
        await p2pupd(
            "repo", "add", str(image), "--repo", str(self.repository), "--component", COMPONENT,
            "--version", version or f"1.{number}", "--hardware", hardware, *options, PASS,
            *([] if packed else ["--raw"]),
        )  # fmt: skip
        return image

    async def stick(self, path: Path) -> Path:
        """Write a stick, then plug it in at `path`."""
        pocket = Path(tempfile.mkdtemp(dir=path.parent))
        await p2pupd("repo", "export", str(pocket), "--repo", str(self.repository))
        return pocket.rename(path)


class Fleet:
    """Devices below one short directory (Unix sockets allow 107 bytes)."""

    def __init__(self, net: Ground | None, anchor: Path, directory: Path) -> None:
        self.net = net
        self.anchor = anchor
        self.directory = directory
        self.devices: list[Device] = []
        self._hosts: dict[str, Host] = {}
        self._ports = directory / "usb"
        self._ports.mkdir()
        self._block = f"127.{64 + os.getpid() % 180}.{1 + time.monotonic_ns() // 1000 % 250}"

    @property
    def stick(self) -> Path:
        """Where the seed watches for a stick."""
        return self.port("stick")

    @property
    def ground(self) -> Ground:
        """What it stands on, where that is a network."""
        assert self.net is not None
        return self.net

    def port(self, name: str) -> Path:
        """A place for one more stick."""
        return self._ports / name

    def host_of(self, device: Device) -> Host:
        """Where it runs."""
        return self._hosts[device.name]

    def device(self, name: str, **kwargs: Any) -> Device:
        """One more device, prepared but off.

        `host` puts it into a place of one's choice, `environment` is laid over its daemon's, and
        it can read what it `sees`, wherever it runs.
        """
        settings = {key: dict(value) for key, value in kwargs.pop("settings", {}).items()}
        place = kwargs.pop("host", None)
        environment = kwargs.pop("environment", {})
        sees = kwargs.pop("sees", ())
        directory = self.directory / name
        if self.net is None:
            address = f"{self._block}.{len(self.devices) + 1}"
            device = Device(name, directory, address, self.anchor, settings=settings, **kwargs)
        else:
            self._hosts[name] = host = place or self.net.host()
            for section, values in self.net.settings.items():
                settings[section] = values | settings.get(section, {})
            device = self.net.device(
                host, name, directory, self.anchor,
                environment=environment, sees=tuple(sees), settings=settings, **kwargs,
            )  # fmt: skip
        device.prepare()
        self.devices.append(device)
        return device

    def seed(self, name: str = "seed", port: Path | None = None, **kwargs: Any) -> Device:
        """A device that watches for the stick, at `port`, and installs nothing itself."""
        media = {"media": {"directories": [str(port or self.stick)], "poll": 0.2}}
        settings = media | kwargs.pop("settings", {})
        return self.device(
            name, role="seed", installs=False, settings=settings, sees=(self._ports,), **kwargs
        )


@asynccontextmanager
async def fleet(net: Ground | None, anchor: Path) -> AsyncIterator[Fleet]:
    """A fleet whose daemons all end with the block; what they leave is kept if it failed."""
    evidence.forget()
    directory = Path(tempfile.mkdtemp(prefix="pf-"))
    made = Fleet(net, anchor, directory)
    try:
        yield made
    except BaseException:
        await evidence.keep(made.devices)
        raise
    finally:
        for each in made.devices:
            await each.stop(signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def powered(devices: Iterable[Device]) -> AsyncIterator[None]:
    """The devices' power supply: they boot, and boot again whenever their daemon ends.

    When what is done with them fails, the end of every daemon's log is shown.
    """
    supplied = list(devices)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run(), name=each.name) for each in supplied]
        try:
            yield
        except BaseException:
            for each in supplied:
                print(f"--- {each.name}\n{each.tail(LOG_LINES)}", file=sys.stderr)
            await evidence.keep(supplied)
            raise
        finally:
            for task in tasks:
                task.cancel()


async def p2pupd(*arguments: str, expect: int = 0) -> str:
    """Type a command; its output. Fails unless it exits with `expect`."""
    done = await run((sys.executable, "-m", "p2pupd", *arguments), timeout=120)
    assert done.code == expect, f"{done.summary}\n{done.output}\n{done.errors}"
    return done.output + done.errors


async def on(device: Device, *arguments: str, expect: int = 0) -> str:
    """Type a command on a device."""
    return await p2pupd(*arguments, "--config", str(device.config_file), expect=expect)


async def until(condition: Callable[[], Awaitable[T]], within: float, what: str = "condition") -> T:
    """The first true value of `condition`; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := await condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(0.05)
    return value


async def steady(read: Callable[[], Awaitable[int]], seconds: float, within: float) -> int:
    """What `read` says once it has said the same for so many seconds; fails after `within`."""
    seen: list[tuple[float, int]] = []

    async def stands() -> bool:
        seen.append((time.monotonic(), await read()))
        while seen[-1][1] != seen[0][1]:
            del seen[0]
        return seen[-1][0] - seen[0][0] > seconds

    await until(stands, within, "nothing changes any more")
    return seen[-1][1]


async def phases(devices: Iterable[Device]) -> list[str]:
    """Where each device's deployment stands."""
    return [phase_of(await each.status()) for each in devices]


async def all_reach(devices: list[Device], phase: str, within: float) -> None:
    """Every device's deployment comes to `phase`."""

    async def reached() -> bool:
        return set(await phases(devices)) == {phase}

    try:
        await until(reached, within, phase)
    except AssertionError as error:
        raise AssertionError(f"{error}; they are {await phases(devices)}") from error


async def knows(device: Device, neighbours: int, within: float = 30) -> None:
    """The device has at least so many neighbours."""

    async def enough() -> bool:
        status = await device.status()
        return status is not None and int(status["neighbours"]) >= neighbours

    await until(enough, within, f"{device.name} knows {neighbours} neighbours")


async def bytes_of(device: Device) -> Json:
    """The byte counts of its newest transfer; all 0 before there is one."""
    status = await device.status()
    transfers = status["transfers"] if status else []
    counts: Json = transfers[-1]["bytes"] if transfers else NOTHING
    return counts


async def events(device: Device) -> list[Json]:
    """The device's history."""
    found: list[Json] = await device.ask("/v1/history?limit=1000") or []
    return found
