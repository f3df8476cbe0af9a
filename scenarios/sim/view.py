"""A device's view of the floor, made of cells that devices which hold the same have in common.

A cell is a real core `Floor` with its index and tally, of the few devices whose names begin with
one byte. It is never changed: what a saying makes of it is worked out by core once, and known from
then on. So a thousand devices that hear one saying cost little more than one.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final
from weakref import ReferenceType, WeakValueDictionary, ref

from p2pupd.core.digest_tree import DIGITS, Index, compare, digest_of, name_of
from p2pupd.core.floor import Floor, Taken
from p2pupd.core.tally import Tally
from p2pupd.model.fleet import Seen
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Release

CELLS: Final = 256
DEEP: Final = 2
"""Hex digits by which a cell is found."""
PLACES: Final = tuple(f"{each:02x}" for each in range(CELLS))


class Cell:
    """What a view holds of some devices, as core makes it of these sayings."""

    __slots__ = (
        "__weakref__",
        "_release",
        "_tally",
        "after",
        "floor",
        "index",
        "listing",
        "news",
        "place",
        "seen",
        "stamps",
    )

    def __init__(
        self, place: str, seen: dict[DeviceId, Seen], limit: int, release: Release
    ) -> None:
        self.place = place
        self.seen = seen
        self.index = Index()
        self.floor = Floor(limit, self.index)
        for each in seen.values():
            self.floor.take(each)
        self.listing = self.index.stamps.items()
        self.stamps = self.index.stamps.digest(place)
        self.news = self.index.news.digest(place)
        self._release = release
        self._tally: Tally | None = None
        self.after: dict[int, tuple[Taken, ReferenceType[Cell]]] = {}

    @property
    def tally(self) -> Tally:
        """What these devices prove."""
        if self._tally is None:
            self._tally = Tally(self._release, self.seen.values())
        return self._tally


class Cells:
    """All cells that any device has, each once. Sayings must be kept as long as this is."""

    def __init__(self, limit: int, release: Release) -> None:
        self.limit = limit
        self.release = release
        self.empty = [Cell(each, {}, limit, release) for each in PLACES]
        self.made = 0
        self._kept: WeakValueDictionary[frozenset[int], Cell] = WeakValueDictionary()

    def take(self, cell: Cell, seen: Seen) -> tuple[Taken, Cell]:
        """What becomes of the cell with that saying, by core's Floor.take."""
        known = cell.after.get(id(seen))
        if known is not None and (after := known[1]()) is not None:
            return known[0], after
        taken, after = self._worked_out(cell, seen)
        cell.after[id(seen)] = taken, ref(after)
        return taken, after

    def _worked_out(self, cell: Cell, seen: Seen) -> tuple[Taken, Cell]:
        self.made += 1
        device = seen.record.device
        floor = Floor(self.limit, Index())
        if (held := cell.seen.get(device)) is not None:
            floor.take(held)
        taken = floor.take(seen)
        now = floor.get(device)
        assert now is not None, "a floor without strangers has room for everybody"
        if now is held:
            return taken, cell
        everything = {**cell.seen, device: now}
        key = frozenset(map(id, everything.values()))
        after = self._kept.get(key)
        if after is None:
            after = self._kept[key] = Cell(cell.place, everything, self.limit, self.release)
        return taken, after


class View:
    """What one device holds, part by part; the answers are those of core's Floor, Index, Tally."""

    def __init__(self, cells: Cells) -> None:
        self._shared = cells
        self._cells = list(cells.empty)
        self._counted: dict[int, Cell] = {}
        self._tally = Tally(cells.release)
        self._news: dict[str, bytes] = {}
        self._stamps: dict[str, bytes] = {}

    @property
    def cells(self) -> Sequence[Cell]:
        """What it is made of."""
        return self._cells

    def copied(self) -> "View":
        """Another one of the same contents."""
        other = View(self._shared)
        other._cells = list(self._cells)
        other._counted = {
            where: before
            for where, before in enumerate(self._shared.empty)
            if before is not self._cells[where]
        }
        return other

    def take(self, sayings: Iterable[Seen], but: DeviceId) -> list[bytes]:
        """As Floor.take, one after the other, but for one device's; the names of the news."""
        cells, shared, news = self._cells, self._shared, []
        for seen in sayings:
            device = seen.record.device
            name = _name(device)
            before = cells[name[0]]
            if before.seen.get(device) is seen or device == but:
                continue
            taken, after = shared.take(before, seen)
            if after is not before:
                self._put(name[0], before, after)
            if taken is Taken.NEWS:
                news.append(name)
        return news

    def keep(self, own: Seen) -> None:
        """As Floor.take of what this device says itself."""
        where = _name(own.record.device)[0]
        before = self._cells[where]
        self._put(where, before, self._shared.take(before, own)[1])

    def _put(self, where: int, before: Cell, after: Cell) -> None:
        self._cells[where] = after
        self._counted.setdefault(where, before)
        if self._news or self._stamps:
            self._news.clear()
            self._stamps.clear()

    def get(self, device: DeviceId) -> Seen | None:
        """As Floor.get."""
        return self._cells[_name(device)[0]].floor.get(device)

    def named(self, name: bytes) -> Seen | None:
        """As Floor.named."""
        return self._cells[name[0]].floor.named(name)

    def known(self) -> set[DeviceId]:
        """Every device that it holds something of."""
        return {device for cell in self._cells for device in cell.seen}

    def news(self) -> bytes:
        """The digest of all that is new."""
        return self._digest(self._news, "", lambda cell: cell.news)

    def stamps(self, part: str) -> bytes:
        """The digest of all sayings in the part."""
        if len(part) > DEEP:
            return self._cells[int(part[:DEEP], 16)].index.stamps.digest(part)
        return self._digest(self._stamps, part, lambda cell: cell.stamps)

    def _digest(self, kept: dict[str, bytes], part: str, of: Callable[[Cell], bytes]) -> bytes:
        """As DigestTree.digest of all cells together."""
        if len(part) == DEEP:
            return of(self._cells[int(part, 16)])
        found = kept.get(part)
        if found is None:
            if part:
                found = digest_of([of(cell) for cell in self._under(part)])
            else:
                found = digest_of([self._digest(kept, digit, of) for digit in DIGITS])
            kept[part] = found
        return found

    def children(self, part: str) -> tuple[bytes, ...]:
        """As DigestTree.children, of the sayings."""
        return tuple(self.stamps(part + digit) for digit in DIGITS)

    def items(self, part: str) -> dict[bytes, bytes]:
        """As DigestTree.items, of the sayings."""
        if len(part) > DEEP:
            return self._under(part)[0].index.stamps.items(part)
        found: dict[bytes, bytes] = {}
        for cell in self._under(part):
            if cell.seen:
                found.update(cell.listing)
        return found

    def differs(self, other: "View") -> tuple[list[Seen], list[Seen]]:
        """Which sayings the other lacks, and which this one: by core's compare, cell by cell."""
        they_lack: list[Seen] = []
        we_lack: list[Seen] = []
        pairs = zip(self._cells, other.cells, strict=True)
        for mine, theirs in [pair for pair in pairs if pair[0] is not pair[1]]:
            if mine.stamps != theirs.stamps:
                they, we = _difference(mine, theirs)
                they_lack += they
                we_lack += we
        return they_lack, we_lack

    def tally(self) -> tuple[Tally, bool]:
        """What all devices prove, and whether that was counted anew."""
        changed = bool(self._counted)
        for where, before in self._counted.items():
            self._tally.swap(before.tally, self._cells[where].tally)
        self._counted.clear()
        return self._tally, changed

    def _under(self, part: str) -> list[Cell]:
        if len(part) >= DEEP:
            return [self._cells[int(part[:DEEP], 16)]]
        if not part:
            return self._cells
        first = int(part, 16) * len(DIGITS)
        return self._cells[first : first + len(DIGITS)]


@lru_cache(maxsize=1 << 14)
def _difference(mine: Cell, theirs: Cell) -> tuple[list[Seen], list[Seen]]:
    """By core's compare: what each side lacks."""
    found = compare(mine.listing, theirs.listing)
    return (
        [each for name in found.they_lack if (each := mine.floor.named(name))],
        [each for name in found.we_lack if (each := theirs.floor.named(name))],
    )


_name: Final = lru_cache(maxsize=None)(name_of)
