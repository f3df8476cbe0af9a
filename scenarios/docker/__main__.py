"""`python -m scenarios.docker`: a release for many containers, and the memory each one needs."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import click

from scenarios.bench.options import Size
from scenarios.docker.memory import Peaks
from scenarios.lib import engine
from scenarios.lib.containers import containers
from scenarios.lib.fleet import phases
from scenarios.lib.floor import floor_of

MIB = 1 << 20
LOOK_SECONDS = 0.5
PATIENCE = 300.0


@click.command(epilog="Example: python -m scenarios.docker --devices 32 --memory 128M")
@click.option("--devices", type=click.IntRange(1, 200), default=32, help="Beside the seed (32).")
@click.option("--size", type=Size(), default="64M", help="Of the image (64M).")
@click.option("--memory", type=Size(), default="128M", help="Limit of each container (128M).")
def main(devices: int, size: int, memory: int) -> None:
    """Update a floor of containers; report the peak memory of each."""
    if lacking := engine.missing():
        raise click.ClickException(lacking)
    with tempfile.TemporaryDirectory(prefix="p2pupd-docker-") as directory:
        engine.prepare()
        sys.exit(asyncio.run(_measure(Path(directory), devices, size, memory)))


async def _measure(directory: Path, devices: int, size: int, limit: int) -> int:
    options = ("--memory", str(limit), "--memory-swap", str(limit))
    with containers(options=options) as network:
        peaks = Peaks(network)
        async with floor_of(network, directory, devices=devices, size=size) as floor:
            floor.office.release(1)
            stick = floor.stick()
            began = time.monotonic()
            stick.plug_in()
            found: list[str] = []
            while set(found) != {"confirmed"} and time.monotonic() < began + PATIENCE:
                await asyncio.to_thread(peaks.look)
                found = await phases(floor.devices)
                await asyncio.sleep(LOOK_SECONDS)
            took = time.monotonic() - began
            names = {floor.fleet.host_of(each).address: each.name for each in floor.everyone}
        _report(peaks, {name: names[address] for name, address in network.addresses().items()})
    confirmed = found.count("confirmed")
    click.echo(f"{confirmed} of {devices} devices confirmed {size / MIB:g} MiB in {took:.1f} s")
    return 0 if confirmed == devices else 1


def _report(peaks: Peaks, names: dict[str, str]) -> None:
    click.echo(f"{'container':<12} {'peak MiB':>9} {'anonymous':>9} {'killed':>7}")
    for container, peak in peaks.of.items():
        charged, anonymous = peak.charged / MIB, peak.anonymous / MIB
        click.echo(f"{names[container]:<12} {charged:9.1f} {anonymous:9.1f} {peak.killed:7}")
    for what in ("charged", "anonymous"):
        values = [getattr(peak, what) / MIB for peak in peaks.of.values()]
        click.echo(f"{what}: median {median(values):.1f} MiB, highest {max(values):.1f} MiB")


if __name__ == "__main__":
    main()
