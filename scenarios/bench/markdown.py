"""The tables of docs/performance.md, from lines of JSON."""

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, Final

from scenarios.bench.course import MIB

Record = dict[str, Any]

COLUMNS: Final[dict[str, Callable[[list[Record]], str]]] = {
    "rounds": lambda runs: str(len(runs)),
    "last device, s": lambda runs: f"{_middle(runs, lambda each: each['last']):.2f}",
    "x size / rate": lambda runs: f"**{_middle(runs, lambda each: each['ratio']):.2f}**",
    "least to most": lambda runs: (
        f"{min(each['ratio'] for each in runs):.2f} to {max(each['ratio'] for each in runs):.2f}"
    ),
    "seed sent, images": lambda runs: f"{_middle(runs, lambda each: each['seed_images']):.2f}",
    "busiest device sent": lambda runs: f"{_middle(runs, _busiest):.2f}",
    "CPU s, seed": lambda runs: f"{_middle(runs, lambda each: each['nodes'][0]['cpu']):.2f}",
    "CPU s, device": lambda runs: f"{_middle(runs, _device_cpu):.2f}",
    "anonymous MiB": lambda runs: f"{max(map(_anonymous, runs)) / MIB:.0f}",
    "machine busy": lambda runs: f"{_middle(runs, lambda each: each['busy']):.0%}",
}


def tables(records: list[Record]) -> Iterator[str]:
    """Lines of Markdown: a table for each course that was run on shaped links."""
    courses: dict[tuple[int, int, int], list[Record]] = {}
    for each in records:
        if each["what"] == "run" and each["rate"] is not None:
            course = (each["devices"], each["rate"], each["size"])
            courses.setdefault(course, []).append(each)
    for (devices, rate, size), runs in sorted(courses.items()):
        yield f"{devices} devices, {rate} Mbit/s, {size / MIB:g} MiB:"
        yield ""
        yield "| | " + " | ".join(COLUMNS) + " |"
        yield "| --- |" + " --- |" * len(COLUMNS)
        for name in dict.fromkeys(each["contender"] for each in runs):
            same = [each for each in runs if each["contender"] == name]
            cells = " | ".join(column(same) for column in COLUMNS.values())
            yield f"| {name} | {cells} |"
        yield ""


def _middle(runs: list[Record], of: Callable[[Record], float]) -> float:
    return median(map(of, runs))


def _busiest(run: Record) -> float:
    return float(max(each["sent"] for each in run["nodes"][1:]) / run["size"])


def _device_cpu(run: Record) -> float:
    return float(median(each["cpu"] for each in run["nodes"][1:]))


def _anonymous(run: Record) -> int:
    return max(int(each["anonymous"]) for each in run["nodes"])
