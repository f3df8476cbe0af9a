"""The picture of docs/performance.md: the last device's time and the seed's upload."""

from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import click

Record = dict[str, Any]
Medians = dict[str, dict[int, float]]


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
    figure = figures.Figure(figsize=(10, 4), layout="constrained")
    time, upload = figure.subplots(1, 2)
    _bars(time, medians(runs, "ratio"), "last device's time in multiples of size / rate")
    _bars(upload, medians(runs, "seed_images"), "sent by the seed, in images")
    for axes in (time, upload):
        axes.yaxis.set_major_formatter(ticker.ScalarFormatter())
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    time.legend()
    figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None)


def _bars(axes: Any, found: Medians, title: str) -> None:
    """A group of bars for each number of devices, on a logarithmic scale."""
    counts = sorted({count for values in found.values() for count in values})
    width = 0.8 / len(found)
    for place, (name, values) in enumerate(found.items()):
        shown = [(at, values[count]) for at, count in enumerate(counts) if count in values]
        left = [at + (place - (len(found) - 1) / 2) * width for at, _ in shown]
        drawn = axes.bar(left, [value for _, value in shown], width, label=name)
        axes.bar_label(drawn, fmt="%.2f", fontsize=6)
    axes.set(title=title, yscale="log", ylim=(0.8, None))
    axes.set_xticks(range(len(counts)), [f"{each} devices" for each in counts])
    axes.set_yticks([1, 2, 5, 10, 20, 40])
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def medians(runs: list[Record], key: str) -> Medians:
    """Of `key`, by contender and number of devices."""
    found: dict[str, dict[int, list[float]]] = {}
    for each in runs:
        found.setdefault(each["contender"], {}).setdefault(each["devices"], []).append(each[key])
    return {
        name: {count: median(values) for count, values in of.items()} for name, of in found.items()
    }
