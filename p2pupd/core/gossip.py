"""How views of the floor are merged: the newest word of each device, whatever way it came.

`merge` is commutative, associative and idempotent, so it does not matter who tells whom, in which
order, or how often.
"""

from dataclasses import replace

from p2pupd.model.fleet import Seen, StatusRecord, View


def newer(one: Seen, other: Seen) -> Seen:
    """Of two sayings of one device the newer, with what is known of it from either.

    Of one saying that came twice, the earlier hearing counts: it was not said later.
    """
    last = max(one, other, key=lambda each: (each.stamp, each.raw, -each.heard, each.standing))
    other = other if last is one else one
    if not _adds(other, last):
        return last
    return replace(
        last,
        first=min(last.first, other.first),
        direct=last.direct or other.direct,
        alive=max(last.alive, other.alive),
        lost=max(last.lost, other.lost),
    )


def _adds(other: Seen, last: Seen) -> bool:
    """Whether `other`, the older saying, knows of the device what `last` does not."""
    return (
        other.first < last.first
        or other.direct > last.direct
        or other.alive > last.alive
        or other.lost > last.lost
    )


def merge(mine: View, theirs: View) -> View:
    """Everything that either has heard, of each device what it said last."""
    entries = dict(mine.entries)
    for device, seen in theirs.entries.items():
        held = entries.get(device)
        entries[device] = seen if held is None else newer(held, seen)
    return View(entries)


def is_news(before: StatusRecord, after: StatusRecord) -> bool:
    """Whether the later record says more than that its device lives."""
    return (after.epoch, after.news) > (before.epoch, before.news)
