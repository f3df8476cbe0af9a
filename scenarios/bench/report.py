"""Results as a table for people and as lines of JSON."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from scenarios.bench.course import MIB, Plan, Result

COLUMNS: Final = (
    "contender",
    "rounds",
    "last s",
    "x limit",
    "range",
    "median x",
    "seed images",
    "device max",
    "wasted",
    "CPU s seed",
    "CPU s device",
    "anon MiB",
    "busy",
    "waited",
    "drops",
)


def write(plan: Plan, record: dict[str, Any]) -> None:
    """Append a line of JSON, if that is wanted; with what was planned."""
    if plan.output is None:
        return
    planned = asdict(plan) | {"output": None}
    with plan.output.open("a") as file:
        file.write(json.dumps(planned | record, separators=(",", ":")) + "\n")


def read(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """All lines of the files."""
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def line_of(result: Result) -> str:
    """One run, for the eye."""
    limit = "" if result.ratio is None else f" = {result.ratio:.3f} x size / rate"
    starved = "  (starved of CPU: look at the machine)" if result.starved else ""
    return (
        f"{result.contender}: last {result.last:.2f} s{limit}, seed sent "
        f"{result.seed_images:.2f} images, machine {result.busy:.0%} busy{starved}"
    )


def table(results: list[Result], title: str) -> None:
    """Medians for each contender."""
    shown = Table(*COLUMNS, title=title)
    for name in dict.fromkeys(each.contender for each in results):
        shown.add_row(*row([each for each in results if each.contender == name]))
    Console(width=170).print(shown)


def row(runs: list[Result]) -> list[str]:
    """One contender's medians. What is not known is a dash."""
    ratios = [each.ratio for each in runs if each.ratio is not None]
    wasted = [sum(each.notes["wasted"]) / each.devices for each in runs if "wasted" in each.notes]
    starved = sum(each.starved for each in runs)
    return [
        runs[0].contender + (f" ({starved} starved)" if starved else ""),
        str(len(runs)),
        f"{median(each.last for each in runs):.2f}",
        f"{median(ratios):.3f}" if ratios else "-",
        f"{min(ratios):.2f}-{max(ratios):.2f}" if ratios else "-",
        f"{median(_middle(each) for each in runs):.3f}",
        f"{median(each.seed_images for each in runs):.2f}",
        f"{median(max(node.sent for node in each.nodes[1:]) / each.size for each in runs):.2f}",
        f"{median(wasted):.3f}" if wasted else "-",
        f"{median(each.nodes[0].cpu for each in runs):.2f}",
        f"{median(median(node.cpu for node in each.nodes[1:]) for each in runs):.2f}",
        f"{max(node.anonymous for each in runs for node in each.nodes) / MIB:.0f}",
        f"{median(each.busy for each in runs):.0%}",
        f"{median(median(node.waited for node in each.nodes) / each.last for each in runs):.1%}",
        f"{median(each.drops for each in runs):.0f}",
    ]


def _middle(result: Result) -> float:
    """The median device's time: in limits, or in seconds where there is no limit."""
    return median(result.times) / (result.limit or 1)


def memory(results: list[Result]) -> None:
    """The most that each process was seen with. RSS counts mapped files, which are page cache."""
    shown = Table("node", "RSS MiB", "of it anonymous MiB", title="most memory, sampled at 4 Hz")
    for place, node in enumerate(results[0].nodes):
        same = [each.nodes[place] for each in results]
        resident, anonymous = (
            max(getattr(each, what) for each in same) / MIB for what in ("resident", "anonymous")
        )
        shown.add_row(node.name, f"{resident:.1f}", f"{anonymous:.1f}")
    Console().print(shown)
