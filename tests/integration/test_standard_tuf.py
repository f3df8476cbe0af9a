"""What `p2pupd repo` makes is plain TUF: any TUF client reads it, and so does a device."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from p2pupd.cli.app import run
from p2pupd.errors import DowngradeError, SignatureError
from p2pupd.feeds.repository import read_repository
from p2pupd.feeds.settings import MediaSettings
from p2pupd.model.clock import WallClock
from p2pupd.trust.settings import TrustSettings
from p2pupd.trust.verifier import Verifier
from p2pupd.wire import bundle

CLIENT = Path(__file__).with_name("plain_tuf_client.py")
ROLES = ("root", "targets", "snapshot", "timestamp", "gateway")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class Fleet:
    """A release engineer's machine, on which only the command line is used."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.repository = place / "acme"
        self.anchor = place / "anchor.json"
        self.targets: dict[str, str] = {}
        init = ["init", str(self.repository), "--line", "gateway", "--line", "sensor"]
        assert run(["repo", *init, "--no-passphrase"]) == 0
        self.anchor.write_bytes((self.repository / "metadata" / "1.root.json").read_bytes())

    def run(self, *arguments: str) -> None:
        assert run(["repo", *arguments, "--repo", str(self.repository)]) == 0

    def add(self, line: str, component: str, version: str) -> None:
        content = hashlib.shake_256(f"{component} {version}".encode()).digest(200_000)
        image = self.place / f"{component}-{version}.img"
        image.write_bytes(content)
        names = ["--line", line, "--component", component, "--version", version]
        self.run("add", str(image), *names, "--hardware", "rev-a")
        target = f"{line}/{component}/{component}-{version}.img.pack"
        (carried,) = self.repository.glob(f"targets/{line}/{component}/*.{Path(target).name}")
        self.targets[target] = hashlib.sha256(carried.read_bytes()).hexdigest()

    def rotate_everything(self) -> None:
        for role in ROLES:
            self.run("rotate", role, "--no-passphrase")

    def verifier(self, name: str) -> Verifier:
        return Verifier(self.place / name, TrustSettings(root=self.anchor), build_time=0)

    def bundle(self) -> bytes:
        """Every metadata file that there is, of the past too."""
        files = {
            each.name: each.read_bytes()
            for each in (self.repository / "metadata").iterdir()
            if bundle.NAME_PATTERN.fullmatch(each.name)
        }
        return bundle.encode(bundle.Bundle(files))


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = Fleet(tmp_path)
    made.add("gateway", "gateway-os", "1.0")
    made.add("sensor", "sensor-fw", "3.2")
    return made


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Everything below `tmp_path`, over HTTP."""
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fetch(fleet: Fleet, repository: str, name: str, *targets: str) -> dict[str, str]:
    """What a plain TUF client gets, in a process of its own that p2pupd cannot touch."""
    work = fleet.place / name
    command = [sys.executable, "-I", str(CLIENT), str(fleet.anchor), repository, str(work)]
    result = subprocess.run([*command, *targets], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, str] = json.loads(result.stdout)
    return found


def now() -> WallClock:
    return WallClock(time.time(), trusted=True)


def test_a_plain_client_downloads_and_verifies_every_target(fleet: Fleet, url: str) -> None:
    assert fetch(fleet, f"{url}/acme", "client", *fleet.targets) == fleet.targets


def test_a_plain_client_follows_every_rotation_from_the_first_root(fleet: Fleet, url: str) -> None:
    assert fetch(fleet, f"{url}/acme", "old", *fleet.targets) == fleet.targets
    fleet.rotate_everything()
    fleet.add("gateway", "gateway-os", "1.1")
    fleet.run("refresh", "--timestamp-days", "365")
    assert fetch(fleet, f"{url}/acme", "old", *fleet.targets) == fleet.targets
    assert fetch(fleet, f"{url}/acme", "new", *fleet.targets) == fleet.targets


def test_the_command_tuf_client_downloads_and_verifies_every_target(
    fleet: Fleet, url: str, tmp_path: Path
) -> None:
    metadata, downloads = tmp_path / "client", tmp_path / "downloads"
    metadata.mkdir()
    downloads.mkdir()
    client = ["tuf-client", "--metadata-dir", str(metadata)]
    assert run([*client, "init", str(fleet.anchor)]) == 0
    remote = ["--metadata-url", f"{url}/acme/metadata", "--target-base-url", f"{url}/acme/targets"]
    for target in fleet.targets:
        into = ["--target-name", target, "--target-dir", str(downloads)]
        assert run([*client, *remote, *into, "download"]) == 0
    found = {hashlib.sha256(each.read_bytes()).hexdigest() for each in downloads.iterdir()}
    assert found == set(fleet.targets.values())


def test_a_plain_client_reads_a_stick(fleet: Fleet, url: str) -> None:
    fleet.rotate_everything()
    (fleet.place / "stick").mkdir()
    fleet.run("export", str(fleet.place / "stick"))
    assert fetch(fleet, f"{url}/stick/p2pupd", "client", *fleet.targets) == fleet.targets


def test_a_device_believes_the_repository(fleet: Fleet) -> None:
    manifest = fleet.verifier("device").accept(fleet.bundle(), now())
    assert {each.target: each.artifact.sha256 for each in manifest.releases} == fleet.targets
    assert manifest.warnings == ()
    assert abs(manifest.issued - time.time()) < 60


def test_a_device_believes_a_stick_and_every_later_state(fleet: Fleet) -> None:
    device = fleet.verifier("device")
    stick = fleet.place / "stick"
    stick.mkdir()
    old = fleet.bundle()
    device.accept(old, now())
    for role in ROLES:
        fleet.run("rotate", role, "--no-passphrase")
        fleet.run("export", str(stick))
        manifest = device.accept(read_repository(stick, MediaSettings()), now())
        assert len(manifest.releases) == 2
    fleet.run("refresh")
    device.accept(fleet.bundle(), now())
    with pytest.raises(DowngradeError):
        device.accept(old, now())
    assert fleet.verifier("device").current() == device.current()


def test_a_repository_without_releases_is_believed(tmp_path: Path) -> None:
    empty = Fleet(tmp_path)
    assert empty.verifier("device").accept(empty.bundle(), now()).releases == ()


def test_a_device_of_another_fleet_refuses(fleet: Fleet, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(SignatureError):
        Fleet(other).verifier("device").accept(fleet.bundle(), now())


def test_the_realm_outlives_every_rotation(fleet: Fleet) -> None:
    before = fleet.verifier("device").realm
    fleet.rotate_everything()
    fleet.anchor.write_bytes((fleet.repository / "metadata" / "1.root.json").read_bytes())
    assert fleet.verifier("device").realm == before


@pytest.mark.parametrize(
    "moment", ["targets/.incoming-*", "metadata/.4.gateway.json.new", "metadata/4.gateway.json"]
)
def test_an_add_that_is_killed_leaves_a_sound_repository(fleet: Fleet, moment: str) -> None:
    image = fleet.place / "big.img"
    image.write_bytes(bytes(20_000_000))
    names = ["--line", "gateway", "--component", "gateway-os", "--version", "2.0"]
    add = ["repo", "add", str(image), *names, "--hardware", "rev-a", "--repo"]
    command = [sys.executable, "-m", "p2pupd", *add, str(fleet.repository)]
    fleet.add("gateway", "gateway-os", "1.1")
    before = set(fleet.repository.rglob("*"))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not set(fleet.repository.glob(moment)) - before:
            pass
        process.kill()
    manifest = fleet.verifier("device").accept(
        read_repository(fleet.repository, MediaSettings()), now()
    )
    assert {each.version for each in manifest.releases} - {"2.0"} == {"1.0", "1.1", "3.2"}
    fleet.add("gateway", "gateway-os", "2.1")
    assert not list(fleet.repository.rglob(".incoming-*"))
    fleet.verifier("device").accept(read_repository(fleet.repository, MediaSettings()), now())
