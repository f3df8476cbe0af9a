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
from p2pupd.wire.fields import array, exactly, pieces, versioned

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
    fields = versioned(codec.unpack(raw, MAX_BYTES), VERSION, "a question")
    part = fields.get("part")
    if not isinstance(part, str) or len(part) > DEEPEST or set(part) - set("0123456789abcdef"):
        raise ProtocolError("`part` is not a prefix in hex digits")
    return Ask(
        realm=Realm(exactly(fields.get("realm"), 8, "realm").hex()),
        part=part,
        digest=exactly(fields.get("d"), DIGEST_BYTES, "d"),
        items=array(fields.get("i"), MAX_ITEMS, read_item, "i"),
        wanted=pieces(fields.get("w"), NAME_BYTES, MAX_WANTED, "w"),
    )


def decode_answer(raw: bytes) -> Answer:
    """Raises ProtocolError for anything but a well-formed answer."""
    fields = versioned(codec.unpack(raw, MAX_BYTES), VERSION, "an answer")
    listed = None
    if fields.get("l") is not None:
        entries = pieces(fields["l"], NAME_BYTES + VALUE_BYTES, MAX_LISTED, "l")
        listed = {each[:NAME_BYTES]: each[NAME_BYTES:] for each in entries}
    children = pieces(fields.get("c"), DIGEST_BYTES, CHILDREN, "c")
    if len(children) not in (0, CHILDREN):
        raise ProtocolError(f"`c` is not {CHILDREN} digests")
    return Answer(
        digest=exactly(fields.get("d"), DIGEST_BYTES, "d"),
        view=exactly(fields.get("r"), DIGEST_BYTES, "r"),
        listed=listed,
        children=children,
        items=array(fields.get("i"), MAX_ITEMS, read_item, "i"),
    )


def read_item(value: Any, oldest: int = OLDEST) -> Item:
    """An envelope and its age of at most `oldest` seconds. Raises ProtocolError."""
    # Called for each item of each message; by its type alone true is no age.
    if type(value) is list and len(value) == 2:
        raw, age = value
        if type(raw) is bytes and type(age) is int and 0 <= age <= oldest:
            return Item(raw, age)
    raise ProtocolError(f"an item is not an envelope and its age of at most {oldest} seconds")


def _items_fields(items: tuple[Item, ...]) -> list[list[Any]]:
    return [[each.raw, each.age] for each in items]
