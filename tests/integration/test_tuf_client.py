"""`p2pupd tuf-client` against a repository made with plain python-tuf, over real HTTP."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tuf.api.metadata import Metadata, TargetFile

from p2pupd.cli.app import run
from tests.tuf_repository import LINE, TufRepository

CONTENT = b"an image" * 1000
TARGET = "gateway/gateway-os/image.img"
LONG_AGO = 1_600_000_000
LONG_AFTER = 2_000_000_000


class Handler(SimpleHTTPRequestHandler):
    """Serves a directory; under `/cut/` it promises more than it gives."""

    def do_GET(self) -> None:
        if self.path.endswith("/cut/2.root.json"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"1\r\n{\r\nff\r\n")
            return
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        return


@dataclass
class Site:
    """A repository on the web, and a client's directories beside it."""

    fleet: TufRepository
    directory: Path
    address: str

    def publish(self) -> None:
        """Put what the fleet has signed, and the target's file, where the server finds it."""
        metadata = self.directory / "www" / "metadata"
        metadata.mkdir(parents=True, exist_ok=True)
        for name, raw in self.fleet.files.items():
            (metadata / name).write_bytes(raw)
        for path, entry in self.fleet.lines[LINE].targets.items():
            folder, _, name = path.rpartition("/")
            target = self.directory / "www" / "targets" / folder
            target.mkdir(parents=True, exist_ok=True)
            (target / f"{entry.hashes['sha256']}.{name}").write_bytes(CONTENT)

    def client(self, *command: str, url: str = "metadata") -> int:
        return run(["tuf-client", *self.options(url), *command])

    def options(self, url: str = "metadata") -> list[str]:
        return [
            *("--metadata-dir", str(self.directory / "trusted")),
            *("--metadata-url", f"{self.address}/{url}"),
            *("--target-name", TARGET),
            *("--target-base-url", f"{self.address}/targets"),
            *("--target-dir", str(self.directory / "out")),
        ]

    def start(self) -> int:
        return self.client("init", str(self.directory / "www" / "metadata" / "1.root.json"))

    def version(self, role: str) -> int:
        metadata: Metadata[Any] = Metadata.from_file(
            str(self.directory / "trusted" / f"{role}.json")
        )
        version: int = metadata.signed.version
        return version


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "www").mkdir()
    handler = partial(Handler, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fleet = TufRepository(now=LONG_AFTER)
        fleet.lines[LINE].targets[TARGET] = TargetFile.from_data(TARGET, CONTENT, ["sha256"])
        fleet.publish(LINE)
        made = Site(fleet, tmp_path, f"http://127.0.0.1:{server.server_port}")
        made.publish()
        yield made
        server.shutdown()


def test_a_target_is_downloaded_and_verified_through_its_delegation(site: Site) -> None:
    assert site.start() == 0
    assert site.client("refresh") == 0
    assert site.client("download") == 0
    kept = list((site.directory / "out").iterdir())
    assert [unquote(path.name) for path in kept] == [TARGET]
    assert kept[0].read_bytes() == CONTENT
    trusted = {path.name for path in (site.directory / "trusted").glob("*.json")}
    assert trusted == {
        "root.json",
        "timestamp.json",
        "snapshot.json",
        "targets.json",
        "gateway.json",
    }


def test_a_rollback_is_refused_and_what_is_trusted_stays(site: Site) -> None:
    old = dict(site.fleet.files)
    site.fleet.publish(LINE)
    site.publish()
    assert site.start() == 0
    assert site.client("refresh") == 0
    site.fleet.files = old
    site.publish()
    assert site.client("refresh") == 1
    (site.directory / "trusted" / "timestamp.json").write_bytes(b"damaged")
    assert site.client("refresh") == 1
    assert site.version("snapshot") == 3


def test_expiry_is_judged_by_the_clock_which_counts_as_trusted(site: Site) -> None:
    assert site.start() == 0
    site.fleet.now = LONG_AGO
    site.fleet.publish(LINE)
    site.publish()
    assert site.client("refresh") == 1


def test_a_wrong_signature_is_refused(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.fleet.signers["targets"] = [site.fleet.new_key()]
    site.fleet.publish("targets")
    site.publish()
    assert site.start() == 0
    assert site.client("refresh") == 1
    assert "2.targets.json: targets was signed by 0/1 keys" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["refresh"], ["download"]])
@pytest.mark.parametrize("url", ["nowhere", "cut"])
def test_a_source_that_fails_is_a_failure(site: Site, url: str, command: list[str]) -> None:
    assert site.start() == 0
    assert site.client(*command, url=url) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--metadata-dir", "D"],
        ["--metadata-dir", "D", "init"],
        ["--metadata-dir", "D", "refresh"],
        ["--metadata-dir", "D", "download"],
        ["--metadata-dir", "D", "--nonsense", "refresh"],
        ["--metadata-dir", "D", "nonsense"],
        ["--metadata-dir", "D", "init", "missing.json"],
        ["--metadata-dir", "D", "--metadata-url", "http://127.0.0.1:1", "refresh"],
        ["--metadata-dir", "D", "--metadata-url", "file:///etc", "refresh"],
    ],
)
def test_it_exits_1_for_everything_that_a_caller_does_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["tuf-client", *arguments]) == 1


def test_a_repository_that_does_not_answer_is_a_failure(site: Site) -> None:
    assert site.start() == 0
    site.address = "http://127.0.0.1:1"
    assert site.client("refresh") == 1
    site.address = "file:///etc"
    assert site.client("refresh") == 1


def test_the_program_itself_exits_0_or_1_without_a_traceback(site: Site) -> None:
    root = site.directory / "www" / "metadata" / "1.root.json"

    def program(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "p2pupd", "tuf-client", *site.options(), *command],
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert program("init", str(root)).returncode == 0
    assert program("download").returncode == 0
    (site.directory / "www" / "metadata" / "timestamp.json").write_bytes(b"rubbish")
    failed = program("refresh")
    assert failed.returncode == 1
    assert failed.stderr.startswith("p2pupd: timestamp.json: ")
    assert "Traceback" not in failed.stderr
