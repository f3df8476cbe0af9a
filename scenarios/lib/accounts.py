"""What a device tells of its bytes: by its metrics, and by its status."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from prometheus_client.parser import text_fd_to_metric_families

from p2pupd.demo.device import Device

METRICS_PORT = 9830
SOURCES = ("lan", "uplink", "usb", "reuse")
Figures = dict[tuple[str, ...], float]


@asynccontextmanager
async def _session(device: Device, over: str) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    if over == "tcp":
        async with aiohttp.ClientSession() as session:
            yield session, f"http://{device.address}:{METRICS_PORT}"
        return
    connector = aiohttp.UnixConnector(str(device.directory / "control.sock"))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session, "http://localhost"


async def scraped(device: Device, over: str = "tcp") -> Figures:
    """{(name, label values...): value}, over "tcp" or the control "socket"."""
    async with _session(device, over) as (session, root), session.get(f"{root}/metrics") as answer:
        assert answer.status == 200
        families = text_fd_to_metric_families(io.StringIO(await answer.text()))
    return {
        (each.name, *(each.labels[label] for label in sorted(each.labels))): each.value
        for family in families
        for each in family.samples
    }


def came(figures: Figures) -> dict[str, int]:
    """Bytes by source, without those that brought nothing."""
    by = {source: int(figures["p2pupd_bytes_total", "in", source]) for source in SOURCES}
    return {source: count for source, count in by.items() if count}


async def told(device: Device) -> dict[str, int]:
    """The same of the only artifact in `status`."""
    status = await device.status()
    assert status is not None
    (stored,) = status["stored"]
    return {source: stored["bytes"][source] for source in SOURCES if stored["bytes"][source]}
