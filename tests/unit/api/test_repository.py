"""`p2pupd repo serve`: what it gives, and what it does not."""

import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from p2pupd.api.repository import listen, url_of
from p2pupd.cli.app import run
from p2pupd.errors import HostError
from tests.contents import payload
from tests.serving import Served, served
from tests.sticks import metadata, released, target_path, write_repository
from tests.support import eventually_sync

CONTENT = payload(200_000)
TARGET = str(target_path(released(CONTENT)))


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("shop") / "repository"
    write_repository(directory, CONTENT)
    (directory / "keys").mkdir()
    (directory / "keys" / "root.key").write_bytes(b"secret")
    (directory / "targets" / ".incoming-x").write_bytes(b"half")
    (directory / "targets" / "out").symlink_to("/etc")
    (directory / "targets" / "passwd").symlink_to("/etc/passwd")
    os.mkfifo(directory / "targets" / "fifo")
    with served(directory) as running:
        yield running


def ask(shop: Served, path: str, method: str = "GET", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{shop.url}/{path}", headers=named, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return Answer(response.status, dict(response.headers), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), error.read())


def test_metadata_and_targets_are_served_as_they_are(shop: Served) -> None:
    assert ask(shop, "metadata/timestamp.json").body == metadata()["timestamp.json"]
    whole = ask(shop, TARGET)
    assert (whole.status, whole.body) == (200, CONTENT)
    assert whole.headers["Accept-Ranges"] == "bytes"


def test_a_part_is_served_while_the_file_is_the_one_that_was_asked_about(shop: Served) -> None:
    tag = ask(shop, TARGET, "HEAD").headers["ETag"]
    part = ask(shop, TARGET, Range="bytes=1000-1999", If_Range=tag)
    assert (part.status, part.body) == (206, CONTENT[1000:2000])
    assert part.headers["Content-Range"] == "bytes 1000-1999/200000"
    assert ask(shop, TARGET, Range="bytes=1000-1999", If_Range='"other"').status == 200
    assert ask(shop, TARGET, Range="bytes=200000-").status == 416


def test_what_the_caller_has_is_not_sent_again(shop: Served) -> None:
    tag = ask(shop, "metadata/timestamp.json").headers["ETag"]
    again = ask(shop, "metadata/timestamp.json", If_None_Match=tag)
    assert (again.status, again.body) == (304, b"")
    assert ask(shop, "metadata/timestamp.json", If_None_Match='"old"').status == 200


@pytest.mark.parametrize(
    "path",
    [
        "",
        "metadata",
        "metadata/",
        "targets/",
        "targets/gateway",
        "keys/root.key",
        "targets/.incoming-x",
        "targets/passwd",
        "targets/out/passwd",
        "targets/fifo",
        "metadata/../keys/root.key",
        "metadata/%2e%2e/keys/root.key",
        "metadata/..%2fkeys/root.key",
        "metadata//timestamp.json",
        "metadata/timestamp.json%00",
        "nothing/here",
    ],
)
def test_nothing_else_is_served(shop: Served, path: str) -> None:
    answer = ask(shop, path)
    assert answer.status == 404
    assert b"secret" not in answer.body


def test_nothing_can_be_written(shop: Served) -> None:
    assert ask(shop, "metadata/timestamp.json", "PUT").status == 405
    assert ask(shop, "metadata/timestamp.json", "DELETE").status == 405


def test_every_request_is_a_line(shop: Served) -> None:
    ask(shop, "metadata/1.root.json")
    ask(shop, "metadata/99.root.json")
    wanted = ["GET /metadata/1.root.json 200", "GET /metadata/99.root.json 404"]
    eventually_sync(lambda: shop.requests()[-2:] == wanted)


def test_an_address_that_cannot_be_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_repository(tmp_path)
    for where in ("8000", "localhost:8000", "127.0.0.1:port", "127.0.0.1:65536"):
        assert run(["repo", "serve", "--listen", where, "--repo", str(tmp_path)]) == 2
        assert "is not ADDRESS:PORT" in capsys.readouterr().err
    with pytest.raises(HostError, match=r"cannot listen on 192\.0\.2\.7:0"):
        listen("192.0.2.7:0")


def test_an_address_of_version_6_may_be_used() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with listen("[::1]:0") as sock:
        assert url_of(sock) == f"http://[::1]:{sock.getsockname()[1]}"


def test_a_place_that_is_no_repository_is_not_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["repo", "serve", "--repo", str(tmp_path)]) == 15
    assert "neither a p2pupd repository" in capsys.readouterr().err
