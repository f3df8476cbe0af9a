"""The picture of docs/performance.md: the last device's time and the seed's upload."""

from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import click

Record = dict[str, Any]


def draw(records: list[Record], picture: Path) -> None:
    """Medians of all shaped runs, by contender and number of devices; picture: .svg or .png."""
    try:
        ticker = import_module("matplotlib.ticker")
        figures = import_module("matplotlib.figure")
    except ImportError as error:
        raise click.ClickException("drawing needs matplotlib: pip install -e .[bench]") from error
    runs = [each for each in records if each["what"] == "run" and each["ratio"] is not None]
    if not runs:
        raise click.ClickException("no runs on shaped links in these files")
    figure = figures.Figure(figsize=(9, 4), layout="constrained")
    time, upload = figure.subplots(1, 2)
    for axes, key, title in (
        (time, "ratio", "last device's time / (size / rate)"),
        (upload, "seed_images", "sent by the seed, in images"),
    ):
        for name, points in lines(runs, key).items():
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
        axes.set(title=title, xlabel="devices beside the seed", xscale="log", yscale="log")
        axes.set_xticks(sorted({each["devices"] for each in runs}))
        axes.xaxis.set_major_formatter(ticker.ScalarFormatter())
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set_yticks([1, 1.5, 2, 3, 5, 10, 20, 32])
        axes.yaxis.set_major_formatter(ticker.ScalarFormatter())
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
        axes.grid(alpha=0.3)
    time.legend()
    figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None)


def lines(runs: list[Record], key: str) -> dict[str, list[tuple[int, float]]]:
    """By contender: (devices, median of `key`)."""
    found: dict[tuple[str, int], list[float]] = {}
    for each in runs:
        found.setdefault((each["contender"], each["devices"]), []).append(each[key])
    shown: dict[str, list[tuple[int, float]]] = {}
    for (name, count), values in sorted(found.items()):
        shown.setdefault(name, []).append((count, median(values)))
    return shown
