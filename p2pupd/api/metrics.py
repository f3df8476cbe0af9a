"""`GET /metrics`: the device's figures in Prometheus' text format, or as OpenMetrics 1.0.

Served on the control socket, and on a TCP address where one is configured. There only `/metrics`
exists and nothing can be changed. A reading that fails is 503.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from p2pupd.api import peer
from p2pupd.api.files import hide_server
from p2pupd.api.limits import Gate, paced
from p2pupd.api.settings import MetricsSettings, PeerApiSettings
from p2pupd.errors import UpdateError
from p2pupd.model.metrics import Reading

PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text"
SOURCES: Final = ("lan", "uplink", "usb", "reuse")

Read = Callable[[], Awaitable[Reading]]
"""Reads every meter. May raise UpdateError."""


def metrics_route(read: Read) -> web.RouteDef:
    """`GET /metrics`, for any application."""

    async def metrics(request: web.Request) -> web.Response:
        try:
            reading = await read()
        except UpdateError as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n") from error
        openly = OPENMETRICS in request.headers.get("Accept", "")
        kind = openmetrics.CONTENT_TYPE_LATEST if openly else PLAIN
        return web.Response(body=render(reading, openly=openly), headers={"Content-Type": kind})

    return web.get("/metrics", metrics)


def render(reading: Reading, *, openly: bool) -> bytes:
    """`reading` as text, `openly` as OpenMetrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Meters(reading))
    encode: Callable[[CollectorRegistry], bytes] = (
        openmetrics.generate_latest if openly else generate_latest
    )
    return encode(registry)


def listen(settings: MetricsSettings) -> tuple[list[socket.socket], PeerApiSettings] | None:
    """The bound sockets and the limits on their callers; None where none are wanted.

    Raises HostError.
    """
    endpoint = settings.endpoint()
    if endpoint is None:
        return None
    limits = PeerApiSettings(listen=(endpoint[0],), port=endpoint[1], connections=16)
    return peer.listen(limits), limits


async def serve(read: Read, sockets: list[socket.socket], limits: PeerApiSettings) -> None:
    """Serve `/metrics` alone on `sockets` until cancelled, then close them."""
    gate = Gate(limits, asyncio.get_running_loop().time)
    app = web.Application(client_max_size=limits.body, middlewares=[paced(gate)])
    app.on_response_prepare.append(hide_server)
    app.add_routes([metrics_route(read)])
    await peer.serve(app, sockets, limits)


class _Meters(Collector):
    """One reading, as families of metrics."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        """Every family, in the order of docs/operations.md."""
        yield from self._payload()
        yield from self._deployments()
        yield from self._store()
        yield from self._surroundings()

    def _payload(self) -> Iterator[Metric]:
        payload = self._reading.payload
        moved = CounterMetricFamily(
            "p2pupd_bytes",
            "Payload bytes of all artifacts: in by the source of what is here, out by where to.",
            labels=("direction", "source"),
        )
        for source in SOURCES:
            moved.add_metric(("in", source), getattr(payload, source))
        moved.add_metric(("out", "lan"), payload.sent)
        yield moved
        yield from self._reuse()
        yield CounterMetricFamily(
            "p2pupd_wasted_bytes",
            "Payload bytes received in vain: twice, or wrong.",
            value=payload.wasted,
        )

    def _reuse(self) -> Iterator[Metric]:
        told = self._reading.reuse
        for name, what, made in (
            ("p2pupd_reuse_expected_bytes", "was expected to be made", told.expected),
            ("p2pupd_reused_bytes", "was made", told.real),
        ):
            family = CounterMetricFamily(
                name,
                f"What of packs {what} of older packs in the store, and of the slot that runs.",
                labels=("origin",),
            )
            for origin, count in made.items():
                family.add_metric((origin,), count)
            yield family

    def _deployments(self) -> Iterator[Metric]:
        reading = self._reading
        ended = CounterMetricFamily(
            "p2pupd_deployments",
            "Deployments that came to this result, since the device has a journal.",
            labels=("result",),
        )
        for result, number in sorted(reading.deployments.items()):
            ended.add_metric((result,), number)
        yield ended
        if reading.last_success is not None:
            yield _gauge(
                "p2pupd_last_success_timestamp_seconds",
                "When a release was confirmed last, as Unix time.",
                reading.last_success,
            )
        installed = GaugeMetricFamily(
            "p2pupd_installed_release",
            "Number of the release that runs.",
            labels=("component",),
        )
        for component, release in reading.installed.items():
            installed.add_metric((component,), release)
        yield installed

    def _store(self) -> Iterator[Metric]:
        reading = self._reading
        yield _gauge("p2pupd_store_used_bytes", "What the store uses.", reading.store_used)
        yield _gauge("p2pupd_store_free_bytes", "What it may still take.", reading.store_free)
        yield _gauge("p2pupd_store_quota_bytes", "What it may use.", reading.store_quota)

    def _surroundings(self) -> Iterator[Metric]:
        reading, uplink = self._reading, self._reading.uplink
        yield _gauge("p2pupd_peers", "Neighbours that are known now.", reading.peers)
        yield _gauge("p2pupd_payload_moving", "Whether payload may move now.", reading.moving)
        yield from self._fleet()
        if uplink is not None:
            yield _gauge(
                "p2pupd_uplink_available", "Whether the uplink can be used now.", uplink.available
            )
            yield _gauge(
                "p2pupd_uplink_month_bytes",
                "Bytes fetched over the uplink in this calendar month.",
                uplink.month_bytes,
            )
        yield InfoMetricFamily(
            "p2pupd_build", "The p2pupd that runs.", value={"version": reading.version}
        )

    def _fleet(self) -> Iterator[Metric]:
        devices = GaugeMetricFamily(
            "p2pupd_fleet_devices",
            "Devices in the view of the floor, by how they are heard of.",
            labels=("state",),
        )
        for state, number in self._reading.fleet.items():
            devices.add_metric((state,), number)
        yield devices
        dropped = CounterMetricFamily(
            "p2pupd_fleet_dropped",
            "Signed messages about the floor that did not count, since the start.",
            labels=("reason",),
        )
        for reason, number in sorted(self._reading.fleet_dropped.items()):
            dropped.add_metric((reason,), number)
        yield dropped


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=float(value))
