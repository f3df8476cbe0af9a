"""The tables of docs/deltas.md, from what was measured."""

from collections.abc import Iterable, Iterator
from statistics import median
from typing import Final

from scenarios.images.measure import FIRST, Measured
from scenarios.images.product import PRODUCT
from scenarios.images.releases import UPDATES

COLUMNS: Final = (FIRST, *(newer for _, newer in UPDATES))
MISSING: Final = "-"


def tables(measured: Iterable[Measured]) -> Iterator[str]:
    """Lines of Markdown: a table for each format, in shares of the new image."""
    everything = list(measured)
    for name in dict.fromkeys(each.format for each in everything):
        same = [each for each in everything if each.format == name]
        yield f"**{name}**"
        yield ""
        yield f"| | {' | '.join(COLUMNS)} | median of the updates |"
        yield "| --- |" + " --- |" * (len(COLUMNS) + 1)
        for contender in dict.fromkeys(each.contender for each in same):
            shares = {each.update: each.share for each in same if each.contender == contender}
            cells = [f"{shares[each]:.2%}" if each in shares else MISSING for each in COLUMNS]
            updates = [share for update, share in shares.items() if update != FIRST]
            middle = f"{median(updates):.2%}" if updates else MISSING
            bold = "**" if contender == PRODUCT else ""
            yield f"| {bold}{contender}{bold} | {' | '.join([*cells, middle])} |"
        yield from _against(same)
        yield ""


def _against(same: list[Measured]) -> Iterator[str]:
    """p2pupd's bytes as multiples of the best rival's."""
    ratios = {each: ratio(same, each) for each in COLUMNS}
    known = {update: value for update, value in ratios.items() if value is not None}
    if known:
        cells = [f"{known[each]:.2f}" if each in known else MISSING for each in COLUMNS]
        updates = [value for update, value in known.items() if update != FIRST]
        middle = f"{median(updates):.2f}" if updates else MISSING
        yield f"| x the best of the others | {' | '.join([*cells, middle])} |"


def ratio(measured: Iterable[Measured], update: str) -> float | None:
    """p2pupd's bytes divided by the best rival's; None where one of both was not measured."""
    wires = {each.contender: each.wire for each in measured if each.update == update}
    ours = wires.pop(PRODUCT, None)
    return None if ours is None or not wires else ours / min(wires.values())
