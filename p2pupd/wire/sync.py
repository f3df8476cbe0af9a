"""What two devices say to each other to come to the same view: `POST /peer/v1/sync`.

The caller says what it has (the digest of a part of everything), what is new, and what it wants by
name. The answer tells what the other has: nothing more if it is the same, the listing of the part
if that is short, else the digests of its 16 parts; and the items that were wanted, as many as fit.
Items are signed envelopes; only their signatures make them count.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from p2pupd.core.digest_tree import CHILDREN, DEEPEST, DIGEST_BYTES, NAME_BYTES
from p2pupd.errors import ProtocolError
from p2pupd.model.ids import Realm
from p2pupd.wire import codec

VERSION: Final = 1
MAX_BYTES: Final = 64 * 1024
ITEMS_BYTES: Final = 56 * 1024
"""Items of one message, in all; there is room for one of the longest always."""
MAX_ITEMS: Final = 256
MAX_WANTED: Final = 256
MAX_LISTED: Final = 512
"""A part with more items is told by the digests of its parts."""
VALUE_BYTES: Final = 16
OLDEST: Final = (1 << 31) - 1
"""Largest age in seconds."""


class Item(NamedTuple):
    """An envelope, and how many seconds ago it was first said, as the sender knows."""

    raw: bytes
    age: int


@dataclass(frozen=True, slots=True)
class Ask:
    """`part` is a prefix in hex digits, `digest` that of all the caller has there."""

    realm: Realm
    part: str
    digest: bytes
    items: tuple[Item, ...] = ()
    wanted: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """As sent."""
        return codec.pack(
            {
                "v": VERSION,
                "realm": bytes.fromhex(self.realm),
                "part": self.part,
                "d": self.digest,
                "i": _items_fields(self.items),
                "w": b"".join(self.wanted),
            }
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """`digest` is that of the part after the items were taken, `view` what a hello tells.

    `listed` is None where nothing is listed; `children` are empty or 16 digests.
    """

    digest: bytes
    view: bytes
    listed: dict[bytes, bytes] | None = None
    children: tuple[bytes, ...] = ()
    items: tuple[Item, ...] = ()

    def encode(self) -> bytes:
        """As sent."""
        listed = self.listed
        return codec.pack(
            {
                "v": VERSION,
                "d": self.digest,
                "r": self.view,
                "l": None if listed is None else b"".join(k + v for k, v in listed.items()),
                "c": b"".join(self.children),
                "i": _items_fields(self.items),
            }
        )


def decode_ask(raw: bytes) -> Ask:
    """Raises ProtocolError for anything but a well-formed question."""
    fields = _fields(raw)
    part = fields.get("part")
    if not isinstance(part, str) or len(part) > DEEPEST or set(part) - set("0123456789abcdef"):
        raise ProtocolError("`part` is not a prefix in hex digits")
    return Ask(
        realm=Realm(_exactly(fields, "realm", 8).hex()),
        part=part,
        digest=_exactly(fields, "d", DIGEST_BYTES),
        items=_items(fields),
        wanted=_pieces(fields, "w", NAME_BYTES, MAX_WANTED),
    )


def decode_answer(raw: bytes) -> Answer:
    """Raises ProtocolError for anything but a well-formed answer."""
    fields = _fields(raw)
    listed = None
    if fields.get("l") is not None:
        entries = _pieces(fields, "l", NAME_BYTES + VALUE_BYTES, MAX_LISTED)
        listed = {each[:NAME_BYTES]: each[NAME_BYTES:] for each in entries}
    children = _pieces(fields, "c", DIGEST_BYTES, CHILDREN)
    if len(children) not in (0, CHILDREN):
        raise ProtocolError(f"`c` is not {CHILDREN} digests")
    return Answer(
        digest=_exactly(fields, "d", DIGEST_BYTES),
        view=_exactly(fields, "r", DIGEST_BYTES),
        listed=listed,
        children=children,
        items=_items(fields),
    )


def _fields(raw: bytes) -> dict[str, Any]:
    value = codec.unpack(raw, MAX_BYTES)
    if not isinstance(value, dict) or value.get("v") != VERSION:
        raise ProtocolError(f"not a message of sync version {VERSION}")
    return value


def _items_fields(items: tuple[Item, ...]) -> list[list[Any]]:
    return [[each.raw, each.age] for each in items]


def _items(fields: dict[str, Any]) -> tuple[Item, ...]:
    value = fields.get("i")
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise ProtocolError(f"`i` is not a list of at most {MAX_ITEMS} items")
    return tuple(_item(each) for each in value)


def _item(value: Any) -> Item:
    if not isinstance(value, list) or len(value) != 2:
        raise ProtocolError("an item is not an envelope and its age")
    raw, age = value
    if not isinstance(raw, bytes) or not isinstance(age, int) or isinstance(age, bool):
        raise ProtocolError("an item is not an envelope and its age")
    if not 0 <= age <= OLDEST:
        raise ProtocolError(f"an age is not a number of seconds up to {OLDEST}")
    return Item(raw, age)


def _exactly(fields: dict[str, Any], key: str, length: int) -> bytes:
    value = fields.get(key)
    if not isinstance(value, bytes) or len(value) != length:
        raise ProtocolError(f"`{key}` is not {length} bytes")
    return value


def _pieces(fields: dict[str, Any], key: str, length: int, most: int) -> tuple[bytes, ...]:
    value = fields.get(key)
    if not isinstance(value, bytes) or len(value) % length or len(value) > most * length:
        raise ProtocolError(f"`{key}` is not at most {most} times {length} bytes")
    return tuple(value[start : start + length] for start in range(0, len(value), length))
