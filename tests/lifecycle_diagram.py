"""The diagram in docs/architecture.md, from the lifecycle's table.

`python -m tests.lifecycle_diagram` writes it into the page; a test sees to it that it is current.
"""

from pathlib import Path

from p2pupd.core.transitions import TABLE, Row
from p2pupd.model.deployment import ENDED, Phase
from tests.support import ROOT

PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- lifecycle:begin -->\n", "<!-- lifecycle:end -->"


def diagram() -> str:
    """Mermaid: an edge for each pair of phases, labelled with what leads from one to the other."""
    edges: dict[tuple[Phase, Phase], list[str]] = {}
    for row in TABLE:
        if row.to is not row.phase:
            edges.setdefault((row.phase, row.to), []).append(_label(row))
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.OFFERED}"]
    for (phase, to), labels in edges.items():
        lines.append(f"    {phase} --> {to}: {', '.join(dict.fromkeys(labels))}")
    lines += [f"    {phase} --> [*]" for phase in Phase if phase in ENDED]
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def _label(row: Row) -> str:
    return f"{row.event.__name__} ({row.when})" if row.when else row.event.__name__


def current(page: Path = PAGE) -> str:
    """The page with the diagram of now between its marks."""
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + diagram() + END + after


if __name__ == "__main__":
    PAGE.write_text(current(), "utf-8")
