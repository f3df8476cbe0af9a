"""What one would use instead of p2pupd, set up as its manual says for a network of one's own."""

import asyncio
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scenarios.bench.armed import DONE, MARKING, Armed, all_done, listening
from scenarios.bench.course import (
    BenchError,
    Course,
    Result,
    blank,
    digest_of,
    measured,
    switched,
)
from scenarios.bench.machine import quiet
from scenarios.bench.torrent import torrent_of
from scenarios.lib.net import Host, Net

IMAGE: Final = "image.bin"
PORT: Final = 8000
ROOT: Final = Path(__file__).parents[2]
SETTLE_SECONDS: Final = 1.0
UFTP_SHARE: Final = 0.93
"""Of the link's rate, for UFTP's data: its -R leaves out some headers, and beyond the link's rate
it loses packets."""

UFTP_UNSHAPED_KBIT: Final = 800_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command runs: its host's directory, the seed's address, the course."""

    directory: Path
    address: str
    seed: str
    course: Course


Command = Callable[[Place], str]


@dataclass(frozen=True, slots=True)
class Alternative:
    """Shell commands for the seed and for each device.

    `serve` is started before the clock, and up when `port` listens (0: after a while); `fetch` is
    started by the clock, unless it is to `listen` beforehand; `push` is what the seed starts by the
    clock. `prepare` writes the seed's files.
    """

    name: str
    tools: tuple[str, ...]
    serve: Command | None
    fetch: Command
    port: int = 0
    listen: bool = False
    push: Command | None = None
    prepare: Callable[[Place], None] | None = None

    def missing(self) -> str | None:
        """What this machine lacks for it."""
        lacking = [each for each in self.tools if shutil.which(each) is None]
        return ", ".join(lacking) or None

    async def contest(self, course: Course) -> Result:
        """Run the course once."""
        with switched(course) as net:
            race = _Race(self, course, net)
            try:
                return await race.run()
            finally:
                await race.clean_up()


class _Race:
    """One run of an alternative."""

    def __init__(self, what: Alternative, course: Course, net: Net) -> None:
        self._what = what
        self._course = course
        self._net = net
        self._directory = course.directory / what.name
        seed, *hosts = net.hosts
        self._seed = self._armed(seed, what.serve or what.push)
        self._devices = [self._armed(host, what.fetch) for host in hosts]

    def _place(self, host: Host) -> Place:
        directory = self._directory / host.namespace
        return Place(directory, host.address, self._net.hosts[0].address, self._course)

    def _armed(self, host: Host, command: Command | None) -> Armed:
        assert command is not None
        place = self._place(host)
        return Armed(host, place.directory, command(place))

    async def run(self) -> Result:
        what, course = self._what, self._course
        seed = self._place(self._net.hosts[0])
        seed.directory.mkdir(parents=True)
        (seed.directory / IMAGE).hardlink_to(course.image)
        if what.prepare is not None:
            await asyncio.to_thread(what.prepare, seed)
        for each in [self._seed, *self._devices]:
            await each.load()
        await self._start_early()
        result = blank(what.name, course)
        result.notes["quiet"] = await quiet(course.plan.settle)
        pids = {"seed": self._seed.pid} | {
            f"d{number}": each.pid for number, each in enumerate(self._devices, 1)
        }
        async with measured(result, self._net, pids):
            began = time.time()
            for each in [self._seed] if what.listen else self._devices:
                each.go()
            await all_done(self._devices, [self._seed], course.patience)
        result.times = [(each.done_at or 0) - began for each in self._devices]
        for device in self._devices:
            if digest_of(device.directory / IMAGE) != course.digest:
                raise BenchError(f"{what.name}: a device has other bytes than the image")
        return result

    async def _start_early(self) -> None:
        early = self._devices if self._what.listen else [self._seed]
        for each in early:
            each.go()
        if self._what.port:
            await listening(self._seed.host, self._what.port)
        await asyncio.sleep(SETTLE_SECONDS)

    async def clean_up(self) -> None:
        async with asyncio.TaskGroup() as group:
            for each in [self._seed, *self._devices]:
                group.create_task(each.stop(), name=each.host.namespace)
        shutil.rmtree(self._directory, ignore_errors=True)


# -- HTTP ------------------------------------------------------------------------------------------

NGINX: Final = """\
daemon off; pid {directory}/nginx.pid; error_log stderr; worker_processes auto; user root;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2;
  fastcgi_temp_path {directory}/t3; uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
  server {{ listen {port}; root {directory}; }}
}}
"""


def configure_http(place: Place) -> None:
    """What `serve_http` needs in the directory."""
    text = NGINX.format(directory=place.directory, port=PORT)
    (place.directory / "nginx.conf").write_text(text)


def serve_http(place: Place) -> str:
    """nginx, or where it is not installed, aiohttp, which uses sendfile(2) as well."""
    if shutil.which("nginx") is not None:
        return f"nginx -e stderr -c {place.directory}/nginx.conf"
    return f"PYTHONPATH={ROOT} {sys.executable} -m scenarios.bench.web {place.directory} {PORT}"


HTTP: Final = Alternative(
    "http",
    ("curl",),
    serve_http,
    lambda place: f"curl -sSf -o {IMAGE} http://{place.seed}:{PORT}/{IMAGE} && touch {DONE}",
    port=PORT,
    prepare=configure_http,
)

# -- rsync -----------------------------------------------------------------------------------------

RSYNCD: Final = """\
use chroot = no
max connections = 0
uid = 0
gid = 0
[image]
path = {directory}
read only = yes
"""


def _rsync_configuration(place: Place) -> None:
    (place.directory / "rsyncd.conf").write_text(RSYNCD.format(directory=place.directory))


RSYNC: Final = Alternative(
    "rsync",
    ("rsync",),
    lambda place: f"rsync --daemon --no-detach --port {PORT} --config rsyncd.conf",
    lambda place: (
        f"rsync --whole-file rsync://{place.seed}:{PORT}/image/{IMAGE} {IMAGE} && touch {DONE}"
    ),
    port=PORT,
    prepare=_rsync_configuration,
)

# -- aria2, a BitTorrent swarm ---------------------------------------------------------------------

ARIA2: Final = (
    "aria2c --no-conf --enable-dht=false --enable-dht6=false --disable-ipv6 --seed-ratio=0.0 "
    "--file-allocation=none --bt-max-peers=0 --listen-port=6881 --dir=."
)
TRACKER_PORT: Final = 8001
TORRENT: Final = "image.torrent"


def _torrent(place: Place) -> None:
    data = torrent_of(place.directory / IMAGE, f"http://{place.seed}:{TRACKER_PORT}/announce")
    (place.directory.parent / TORRENT).write_bytes(data)


def _track_and_seed(place: Place) -> str:
    return (
        f"PYTHONPATH={ROOT} {sys.executable} -m scenarios.bench.tracker {TRACKER_PORT} & "
        f"until ss -Hltn sport = :{TRACKER_PORT} | grep -q .; do sleep 0.1; done; "
        f"{ARIA2} --check-integrity=true ../{TORRENT}"
    )


ARIA: Final = Alternative(
    "aria2",
    ("aria2c",),
    _track_and_seed,
    lambda place: f"{ARIA2} --on-bt-download-complete={place.directory / MARKING} ../{TORRENT}",
    port=6881,
    prepare=_torrent,
)

# -- UFTP, multicast -------------------------------------------------------------------------------


def _uftp(place: Place) -> str:
    rate = place.course.rate
    kbit = UFTP_UNSHAPED_KBIT if rate is None else round(rate * 1000 * UFTP_SHARE)
    return f"uftp -R {kbit} -I eth0 -r 0.05:0.01:0.2 {IMAGE}"


UFTP: Final = Alternative(
    "uftp",
    ("uftp", "uftpd"),
    None,
    lambda place: (
        f"uftpd -d -I eth0 -B 4194304 -D {place.directory} -s {place.directory / MARKING}"
    ),
    listen=True,
    push=_uftp,
)

ALTERNATIVES: Final = {each.name: each for each in (HTTP, RSYNC, ARIA, UFTP)}
