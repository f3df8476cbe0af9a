"""What somebody holds, as a tree of digests: two who differ find out where without listing all.

Each item has a name of 8 bytes (from the SHA-256 of its key; those of orders begin with a zero
byte, and no others) and a value that tells its versions apart. A part is a prefix of the name in
hex digits; `""` is everything. The digest of a part says all that is in it. Equal digests mean
equal contents, whatever the order in which they came.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

NAME_BYTES: Final = 8
DIGEST_BYTES: Final = 8
CHILDREN: Final = 16
ORDERS: Final = b"\0"
"""The first byte of all names of orders."""
DEEPEST: Final = 2 * NAME_BYTES
DIGITS: Final = "0123456789abcdef"
_CACHED: Final = 2
"""Digests of parts with so many hex digits, the first byte, or fewer are kept."""


def name_of(key: str) -> bytes:
    """The name of the item with that key; in no case one that orders have."""
    name = hashlib.sha256(key.encode()).digest()[:NAME_BYTES]
    return name if name[:1] != ORDERS else b"\1" + name[1:]


def name_of_order(key: str) -> bytes:
    """The name of an operator's order: who has no room for strangers still asks for orders."""
    return ORDERS + hashlib.sha256(key.encode()).digest()[: NAME_BYTES - 1]


def digest_of(said: Iterable[bytes]) -> bytes:
    """The digest of a part: of its items one by one, or of the digests of its 16 parts."""
    return hashlib.sha256(b"".join(said)).digest()[:DIGEST_BYTES]


_NOTHING: Final = digest_of(())


class DigestTree:
    """Grows and shrinks; every change costs a leaf of it, not the whole."""

    def __init__(self) -> None:
        self._leaves: dict[str, dict[bytes, bytes]] = {}
        self._digests: dict[str, bytes] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, name: bytes, value: bytes) -> None:
        """It is held in this version now."""
        leaf = self._touch(name)
        self._count += name not in leaf
        leaf[name] = value

    def drop(self, name: bytes) -> None:
        """It is held no more, if it was."""
        leaf = self._touch(name)
        self._count -= leaf.pop(name, None) is not None
        if not leaf:
            del self._leaves[_place(name)]

    def get(self, name: bytes) -> bytes | None:
        """The version that is held."""
        return self._leaves.get(_place(name), {}).get(name)

    def items(self, part: str = "") -> dict[bytes, bytes]:
        """{name: value} of the part, in the order of the names."""
        if len(part) <= _CACHED:
            places = sorted(each for each in self._leaves if each.startswith(part))
            leaves = [self._leaves[each] for each in places]
            return {name: leaf[name] for leaf in leaves for name in sorted(leaf)}
        leaf = self._leaves.get(part[:_CACHED], {})
        return {name: leaf[name] for name in sorted(leaf) if name.hex().startswith(part)}

    def digest(self, part: str = "") -> bytes:
        """8 bytes that stand for everything in the part."""
        found = self._digests.get(part)
        if found is None:
            found = self._digest(part)
            if len(part) <= _CACHED:
                self._digests[part] = found
        return found

    def children(self, part: str) -> tuple[bytes, ...]:
        """The digests of the 16 parts of the part."""
        return tuple([self.digest(part + digit) for digit in DIGITS])

    def _digest(self, part: str) -> bytes:
        if len(part) < _CACHED:
            return digest_of(self.children(part))
        if len(part) == _CACHED and part not in self._leaves:
            return _NOTHING
        return digest_of(name + value for name, value in self.items(part).items())

    def _touch(self, name: bytes) -> dict[bytes, bytes]:
        place, digests = _place(name), self._digests
        for length in range(_CACHED + 1):
            digests.pop(place[:length], None)
        return self._leaves.setdefault(place, {})


def _place(name: bytes) -> str:
    return name[:1].hex()


class Index:
    """Everything that is held: `stamps` tells all sayings apart, `news` what is new in them."""

    def __init__(self) -> None:
        self.stamps = DigestTree()
        self.news = DigestTree()

    def put(self, name: bytes, stamp: bytes, news: bytes) -> None:
        """It is held in this version now."""
        self.stamps.put(name, stamp)
        self.news.put(name, news)

    def drop(self, name: bytes) -> None:
        """It is held no more, if it was."""
        self.stamps.drop(name)
        self.news.drop(name)


@dataclass(frozen=True, slots=True)
class Difference:
    """By name: what they lack or have older, and what we do."""

    they_lack: tuple[bytes, ...]
    we_lack: tuple[bytes, ...]


def compare(mine: Mapping[bytes, bytes], theirs: Mapping[bytes, bytes]) -> Difference:
    """Two listings of one part; the greater value is the newer version."""
    return Difference(
        they_lack=tuple(name for name in mine if theirs.get(name, b"") < mine[name]),
        we_lack=tuple(name for name in theirs if mine.get(name, b"") < theirs[name]),
    )
