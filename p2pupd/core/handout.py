"""Which piece a seed sends to whom: each to one device, which shares it with the others.

Pure. Devices that ask a seed for pieces of their choice ask for some twice, whatever they agree on
among themselves, because one is served sooner than the other. Here the seed chooses: a device gets
the next piece that nobody got yet, as fast as it takes them.
"""

from collections import deque
from collections.abc import Collection, Sequence
from typing import Final

RECENT: Final = 4
"""Pieces that may not have arrived when a connection breaks: they are handed out once more."""
WORTH_IT: Final = 4 * 1024 * 1024
"""Bytes: a smaller artifact is there before it matters who sends what."""
LATE: Final = 16
"""Pieces that others have which a device is handed before it is to say anew what it wants."""
FEWEST_MAKERS: Final = 2
"""Devices between which it matters who asks the seed for what the other makes."""


def pays(length: int, devices: int, fewest: int, *, made: bool) -> bool:
    """Whether seeds should choose what they send of an artifact of `length` bytes to so many
    devices, where that pays from `fewest` on.

    Of what is `made` in part by devices that have an older release it pays for any two: those that
    have nothing old would ask the seeds for what the others make.
    """
    return length >= WORTH_IT and devices >= (min(fewest, FEWEST_MAKERS) if made else fewest)


class Handout:
    """Of one artifact of so many pieces, beginning with piece `first`: seeds that begin elsewhere
    do not send the same ones at the same time.
    """

    def __init__(self, pieces: int, first: int = 0) -> None:
        self._first = first % pieces
        self._known = bytes(pieces)
        self._given = bytearray(pieces)
        self._order: list[int] = []
        self._again: deque[int] = deque()
        self._spared = bytearray(-(-pieces // 8))
        self.guessed: Collection[int] = ()
        """Pieces that some devices probably make: handed to nobody until those had time for it."""

    @property
    def complete(self) -> bool:
        """Every piece is here."""
        return len(self._order) == len(self._known)

    def known(self, pieces: range) -> bool:
        """All of these pieces are here."""
        return all(self._known[pieces.start : pieces.stop])

    def arrived(self, here: Sequence[bool]) -> None:
        """These pieces are here and proved."""
        now, known = int.from_bytes(bytes(here)), int.from_bytes(self._known)
        pieces, news = len(self._known), (now & ~known).to_bytes(len(self._known))
        self._known = (now | known).to_bytes(pieces)
        for part in (range(self._first, pieces), range(self._first)):
            at = part.start
            while (at := news.find(1, at, part.stop)) >= 0:
                self._order.append(at)
                at += 1

    def turn(self, unwanted: bytes) -> "Turn":
        """One device's way through it. A bit of `unwanted` a piece, the highest bit first: it has
        them, makes them, or can have them from others: whoever lacks them is handed them last."""
        for at, byte in enumerate(unwanted[: len(self._spared)]):
            self._spared[at] |= byte
        return Turn(self, unwanted)

    def _is_spared(self, piece: int) -> bool:
        byte, bit = divmod(piece, 8)
        return piece in self.guessed or bool(self._spared[byte] & 0x80 >> bit)

    def _take(self, turn: "Turn") -> int | None:
        while turn.at < len(self._order):
            piece = self._order[turn.at]
            turn.at += 1
            if not self._given[piece] and not self._is_spared(piece) and turn.wants(piece):
                turn.left = 0
                turn.is_late = False
                self._given[piece] = True
                return piece
        late = self._take_late(turn) if self.complete else None
        return self._take_again(turn) if late is None and not turn.is_old else late

    def _take_late(self, turn: "Turn") -> int | None:
        while turn.late < len(self._order):
            piece = self._order[turn.late]
            is_free = not self._given[piece] and piece not in self.guessed
            if is_free and turn.wants(piece):
                if turn.left == 0:
                    turn.is_old = True
                    return None
                turn.left -= 1
                turn.is_late = True
                self._given[piece] = True
                return piece
            turn.late += 1
        return None

    def _take_again(self, turn: "Turn") -> int | None:
        for _ in range(len(self._again)):
            piece = self._again.popleft()
            if turn.wants(piece):
                turn.is_late = False
                return piece
            self._again.append(piece)
        return None

    def _take_back(self, pieces: Sequence[int]) -> None:
        self._again.extend(pieces)


class Turn:
    """`at` is how far it went through what is here, `late` through what others have, of which it
    may be handed so many pieces as are `left`; the last one was such if it `is_late`. When it
    `is_old`, the device may have got meanwhile what it was said to want, and nothing else is there
    for it: it is to be asked.
    """

    def __init__(self, handout: Handout, unwanted: bytes) -> None:
        self.at = self.late = 0
        self.left = LATE
        self.is_late = self.is_old = False
        self._handout = handout
        self._unwanted = unwanted
        self._recent: deque[int] = deque(maxlen=RECENT)

    def wants(self, piece: int) -> bool:
        """Whether the device lacks it, as far as is known."""
        byte, bit = divmod(piece, 8)
        return byte >= len(self._unwanted) or not self._unwanted[byte] & 0x80 >> bit

    def next(self) -> int | None:
        """The piece to send now; None while there is none for it."""
        piece = self._handout._take(self)  # noqa: SLF001 - one class in two parts
        if piece is not None:
            self._recent.append(piece)
        return piece

    def missed(self, piece: int) -> None:
        """That `next` one cannot be sent just now."""
        self._recent.remove(piece)
        self.left += self.is_late
        self._handout._take_back([piece])  # noqa: SLF001

    def broken(self) -> None:
        """The connection broke: what was sent last may not have arrived."""
        self._handout._take_back(self._recent)  # noqa: SLF001
        self._recent.clear()


def bits(flags: Sequence[bool]) -> bytes:
    """A bit each, the highest bit first, the last byte filled up with zeros."""
    packed = bytearray(-(-len(flags) // 8))
    for number, flag in enumerate(flags):
        if flag:
            packed[number >> 3] |= 0x80 >> (number & 7)
    return bytes(packed)
