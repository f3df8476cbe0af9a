"""Metrics as Prometheus reads them, over real sockets."""

import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import parser as plain_parser
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser

from p2pupd.api.metrics import listen, render, serve
from p2pupd.api.settings import MetricsSettings
from p2pupd.config.load import load_config
from p2pupd.errors import ConfigError, HostError
from p2pupd.model.device import ByteCounts, Origin
from p2pupd.model.metrics import Reading, ReuseReading, UplinkReading
from tests.support import running

READING = Reading(
    version="1.2.3",
    payload=ByteCounts(lan=10, uplink=20, usb=30, reuse=40, received=9, sent=70, wasted=5),
    peers=3,
    deployments={"confirmed": 2, "reverted": 1, "failed": 0},
    last_success=1_700_000_000.5,
    installed={"gateway-os": 7},
    fleet={"here": 1, "now": 30, "heard": 0, "silent": 2},
    fleet_dropped={"forged": 3},
    store_used=1 << 20,
    store_free=1 << 40,
    store_quota=8 << 30,
    moving=True,
    uplink=UplinkReading(available=False, month_bytes=1234),
    reuse=ReuseReading({Origin.STORE: 50, Origin.SLOT: 6}, {Origin.STORE: 30, Origin.SLOT: 0}),
)
NAME = re.compile(r"p2pupd(_[a-z]+)+")
UNITS = {"seconds", "bytes"}
FOREIGN_UNITS = {"milliseconds", "minutes", "kilobytes", "mebibytes", "mib", "percent", "ms"}
Key = tuple[str, frozenset[tuple[str, str]]]


Parse = Callable[[str], Iterable[Metric]]
parse_open: Parse = openmetrics_parser.text_string_to_metric_families
parse_plain: Parse = plain_parser.text_string_to_metric_families


def samples(families: Iterable[Metric]) -> dict[Key, float]:
    return {
        (each.name, frozenset(each.labels.items())): each.value
        for family in families
        for each in family.samples
    }


def key(name: str, **labels: str) -> Key:
    return (f"p2pupd_{name}", frozenset(labels.items()))


EXPECTED = {
    key("bytes_total", direction="in", source="lan"): 10,
    key("bytes_total", direction="in", source="uplink"): 20,
    key("bytes_total", direction="in", source="usb"): 30,
    key("bytes_total", direction="in", source="reuse"): 40,
    key("bytes_total", direction="out", source="lan"): 70,
    key("reuse_expected_bytes_total", origin="store"): 50,
    key("reuse_expected_bytes_total", origin="slot"): 6,
    key("reused_bytes_total", origin="store"): 30,
    key("reused_bytes_total", origin="slot"): 0,
    key("wasted_bytes_total"): 5,
    key("peers"): 3,
    key("deployments_total", result="confirmed"): 2,
    key("deployments_total", result="reverted"): 1,
    key("deployments_total", result="failed"): 0,
    key("last_success_timestamp_seconds"): 1_700_000_000.5,
    key("fleet_devices", state="here"): 1,
    key("fleet_devices", state="now"): 30,
    key("fleet_devices", state="heard"): 0,
    key("fleet_devices", state="silent"): 2,
    key("fleet_dropped_total", reason="forged"): 3,
    key("installed_release", component="gateway-os"): 7,
    key("store_used_bytes"): 1 << 20,
    key("store_free_bytes"): 1 << 40,
    key("store_quota_bytes"): 8 << 30,
    key("payload_moving"): 1,
    key("uplink_available"): 0,
    key("uplink_month_bytes"): 1234,
    key("build_info", version="1.2.3"): 1,
}


@pytest.mark.parametrize(("openly", "parse"), [(False, parse_plain), (True, parse_open)])
def test_every_figure_is_there_in_both_formats(openly: bool, parse: Parse) -> None:
    assert samples(parse(render(READING, openly=openly).decode())) == EXPECTED


def test_what_is_not_known_is_left_out() -> None:
    reading = replace(READING, last_success=None, installed={}, uplink=None)
    found = {name for name, _ in samples(parse_plain(render(reading, openly=False).decode()))}
    gone = {"last_success_timestamp_seconds", "installed_release"}
    gone |= {"uplink_available", "uplink_month_bytes"}
    assert found == {name for name, _ in EXPECTED} - {f"p2pupd_{each}" for each in gone}


def test_names_keep_to_the_conventions() -> None:
    """prometheus.io/docs/practices/naming and the checks of `promtool check metrics`."""
    text = render(READING, openly=False).decode()
    helped = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE))
    typed = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    named = set(re.findall(r"^(p2pupd\w+)[ {]", text, re.MULTILINE))
    assert named == set(typed) == set(helped)
    assert len(re.findall(r"^# TYPE", text, re.MULTILINE)) == len(typed)
    for name, kind in typed.items():
        words = name.split("_")
        assert NAME.fullmatch(name), name
        assert helped[name].endswith("."), name
        assert (kind == "counter") is (words[-1] == "total"), name
        assert FOREIGN_UNITS.isdisjoint(words), name
        unit = words[-2] if kind == "counter" else words[-1]
        assert UNITS.isdisjoint(set(words[1:-1]) - {unit}), f"{name}: the unit comes last"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs the program promtool")
def test_promtool_has_nothing_to_say() -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        check=False,
        input=render(READING, openly=False),
        capture_output=True,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


async def _read() -> Reading:
    return READING


async def _unreadable() -> Reading:
    raise HostError("the store cannot be read")


@asynccontextmanager
async def _served(address: str = "127.0.0.1:0", *, broken: bool = False) -> AsyncIterator[str]:
    listening = listen(MetricsSettings(address))
    assert listening is not None
    sockets, limits = listening
    host, port = sockets[0].getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    async with running(serve(_unreadable if broken else _read, sockets, limits)):
        yield f"http://{host}:{port}"


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0"])
async def test_it_is_read_over_tcp_and_nothing_else_is_there(address: str) -> None:
    async with _served(address) as root, aiohttp.ClientSession() as session:
        async with session.get(f"{root}/metrics") as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert answer.headers["Server"] == "p2pupd"
            assert samples(parse_plain(await answer.text())) == EXPECTED
        for method, path in (("GET", "/"), ("GET", "/v1/status"), ("POST", "/v1/pause")):
            async with session.request(method, root + path) as answer:
                assert answer.status == 404
        async with session.post(f"{root}/metrics") as answer:
            assert answer.status == 405


async def test_who_asks_for_openmetrics_gets_it() -> None:
    asked = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3"
    async with (
        _served() as root,
        aiohttp.ClientSession() as session,
        session.get(f"{root}/metrics", headers={"Accept": asked}) as answer,
    ):
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert samples(parse_open(await answer.text())) == EXPECTED


async def test_a_reading_that_fails_is_told() -> None:
    async with (
        _served(broken=True) as root,
        aiohttp.ClientSession() as session,
        session.get(f"{root}/metrics") as answer,
    ):
        assert (answer.status, await answer.text()) == (503, "the store cannot be read\n")


async def test_whoever_asks_without_end_is_turned_away() -> None:
    async with _served() as root, aiohttp.ClientSession() as session:
        seen = []
        for _ in range(200):
            async with session.get(f"{root}/metrics") as answer:
                seen.append(answer.status)
    assert seen[0] == 200
    assert 429 in seen


def test_without_an_address_nothing_listens() -> None:
    assert listen(MetricsSettings()) is None


def test_an_address_that_is_taken_is_an_error_of_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=f"cannot listen on 127.0.0.1 port {port}"):
            listen(MetricsSettings(f"127.0.0.1:{port}"))


@pytest.mark.parametrize(
    "address",
    ["localhost:9830", "127.0.0.1", "127.0.0.1:", ":9830", "9830", "127.0.0.1:99999", "::1:9830",
     "[127.0.0.1]:9830", "127.0.0.1:-1", "127.0.0.1:٣"],
)  # fmt: skip
def test_what_is_no_address_with_a_port_is_refused(tmp_path: Path, address: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[metrics]\nlisten = "{address}"\n', "utf-8")
    with pytest.raises(ConfigError, match=r"metrics.listen is no IP address with a port"):
        load_config(path)
