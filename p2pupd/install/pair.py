"""The two slots of a device, by name."""

from enum import StrEnum
from typing import Final


class SlotName(StrEnum):
    A = "A"
    B = "B"


PAIR: Final = (SlotName.A, SlotName.B)


def named(text: str) -> SlotName | None:
    """The slot of that name, or None."""
    return SlotName(text) if text in PAIR else None


def other(slot: str) -> SlotName:
    """The other slot of the pair."""
    return SlotName.B if slot == SlotName.A else SlotName.A
